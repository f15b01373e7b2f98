"""Exit codes of the program, and the way in which it ends with one."""

import sys
import traceback
from typing import Final, NoReturn

from rich.console import Console
from rich.markup import escape

from movierank_core.errors import MovierankError

USER_ERROR: Final = 2
"""A wrong option or setting, or anything else that the user can fix before a step begins; click's as well."""
STEP_FAILED: Final = 3
"""A step of `movierank materialize` failed."""
CHECK_FAILED: Final = 4
"""A blocking check stopped `movierank materialize`."""
VERSION_REFUSED: Final = 5
"""`movierank materialize` made everything, and the gate refused the new version."""


def fail(error: Exception, code: int = USER_ERROR) -> NoReturn:
    """Ends the program. A MovierankError is one paragraph on standard error, another error a traceback."""
    if isinstance(error, MovierankError):
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(f"[bold red]Error:[/] {escape(str(error))}")
    else:
        traceback.print_exception(error)
    sys.exit(code)
