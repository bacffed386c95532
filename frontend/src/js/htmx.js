// htmx with server-sent events and morphing; its extensions look for a global.
import "./htmx-global.js";
import "htmx-ext-sse/dist/sse.js";
import "idiomorph/dist/idiomorph-htmx.js";
