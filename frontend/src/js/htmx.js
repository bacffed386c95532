// htmx with morphing; its extension looks for a global.
import "./htmx-global.js";
import "idiomorph/dist/idiomorph-htmx.js";
