// Extensions are evaluated after this module, and find `htmx` and `Idiomorph` on the window.
import htmx from "htmx.org";
import { Idiomorph } from "idiomorph";

Object.assign(window, { htmx, Idiomorph });

export { htmx };
