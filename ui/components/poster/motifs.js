// @ts-check
// The compositions of each genre family. A poster is a sheet of 200 × 300; the title has its lower third.
import * as figures from "./figures.js";
import * as objects from "./objects.js";
import * as scenes from "./scenes.js";

/**
 * @import { Motif } from "./shapes.js"
 * @type {Record<string, Motif[]>}
 */
export const MOTIFS = {
  action: [objects.burst, objects.slashes, objects.bullseye, objects.bolt],
  adventure: [scenes.peaks, scenes.winding, objects.compass, scenes.sails],
  animation: [figures.creature, objects.bubbles, objects.rainbow],
  comedy: [figures.grin, figures.disguise, objects.confetti],
  crime: [scenes.blinds, scenes.city, figures.fingerprint],
  documentary: [objects.contact, objects.lens],
  drama: [scenes.lamplight, figures.twoFaces, scenes.horizon, scenes.stairs],
  family: [scenes.houses, objects.rainbow],
  fantasy: [scenes.castle, scenes.moonlit],
  history: [scenes.columns, scenes.horizon],
  horror: [figures.fangs, figures.eye],
  music: [objects.record, objects.equaliser],
  mystery: [objects.keyhole, objects.spiral, scenes.stairs],
  romance: [figures.embrace, objects.bloom, figures.twoFaces, figures.glasses],
  scifi: [scenes.planet, objects.rocket, scenes.gridSun, scenes.corridor, figures.robot, scenes.orbits],
  thriller: [objects.spiral, objects.bullseye, scenes.corridor],
  war: [scenes.searchlights, objects.bullseye, objects.bolt],
  western: [scenes.mesa, figures.rider],
  other: [objects.leader, objects.lens, scenes.horizon],
};
