// Types for the checker: the page's own elements and events. The page runs without this file.
import type { Film } from "./films.js";
import type { Knobs } from "./route.js";
import type { VerdictDetail } from "./components/card/card.js";

declare global {
  interface HTMLElementTagNameMap {
    "mr-app": import("./components/app/app.js").App;
    "mr-behind": import("./components/behind/behind.js").Behind;
    "mr-card": import("./components/card/card.js").Card;
    "mr-combobox": import("./components/combobox/combobox.js").Combobox;
    "mr-compare": import("./components/compare/compare.js").Compare;
    "mr-film": import("./components/film/film.js").Film;
    "mr-foot": import("./components/foot/foot.js").Foot;
    "mr-foryou": import("./components/foryou/foryou.js").ForYou;
    "mr-knobs": import("./components/knobs/knobs.js").Knobs;
    "mr-live": import("./components/behind/live.js").Live;
    "mr-notice": import("./components/notice/notice.js").Notice;
    "mr-poster": import("./components/poster/poster.js").Poster;
    "mr-profile": import("./components/profile/profile.js").Profile;
    "mr-recent": import("./components/recent/recent.js").Recent;
    "mr-rows": import("./components/rows/rows.js").Rows;
    "mr-shelf": import("./components/shelf/shelf.js").Shelf;
    "mr-start": import("./components/start/start.js").Start;
    "mr-toast": import("./components/toast/toast.js").Toast;
    "mr-who": import("./components/who/who.js").Who;
    "mr-why": import("./components/why/why.js").Why;
  }

  interface HTMLElementEventMap {
    choose: CustomEvent;
    clear: CustomEvent<null>;
    closed: CustomEvent<null>;
    knobs: CustomEvent<Knobs>;
    opened: CustomEvent<{ movie: Film }>;
    retry: CustomEvent<null>;
    said: CustomEvent<string>;
    undo: CustomEvent<{ movie: Film }>;
    verdict: CustomEvent<VerdictDetail>;
    who: CustomEvent<number | null>;
  }

  interface HTMLOListElement {
    /** Not in every browser, and not in TypeScript's library yet. */
    moveBefore?: (item: Node, reference: Node | null) => void;
  }
}
