// The one script of Orca's pages. Each module hooks itself to data attributes; none needs a call from a page.
import "./trusted.js";
import "./htmx.js";
import "./theme.js";
import "./choices.js";
import "./copy.js";
import "./dialog.js";
import "./files.js";
import "./forms.js";
import "./fragment.js";
import "./log.js";
import "./menu.js";
import "./palette.js";
import "./suggest.js";
import "./repeats.js";
import "./tabs.js";
import "./time.js";
import "./toast.js";
