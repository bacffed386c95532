// Before a form is posted, the server is asked whether it is there and knows this browser: a page that an answer
// replaces is lost with all that was typed into it. A browser that is signed out signs in over the page.
import { connection, isSignedIn, signIn } from "./connection.js";
import { toast } from "./toast.js";

/** @type {WeakSet<HTMLFormElement>} */
const checked = new WeakSet();
/** @type {WeakSet<HTMLFormElement>} */
const waiting = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || !(form instanceof HTMLFormElement) || !isSignedIn()) return;
  if (form.method !== "post" || form.matches("[hx-post], [hx-put], [hx-delete]")) return;
  if (checked.delete(form)) return;
  event.preventDefault();
  if (waiting.has(form)) return;
  waiting.add(form);
  void check(form, event.submitter).finally(() => waiting.delete(form));
});

/** @param {HTMLFormElement} form @param {HTMLElement | null} submitter */
async function check(form, submitter) {
  let answer = await connection.ask();
  if (answer === "signed-out") {
    if (!(await signIn())) return toast({ text: "Not sent: you are signed out", hint: "What you typed is still here.", tone: "bad" });
    answer = await connection.ask();
  }
  if (answer !== "ok") return toast({ text: "Not sent: Orca cannot be reached", hint: "What you typed is still here. Try again in a moment.", tone: "bad" });
  checked.add(form);
  form.requestSubmit(submitter?.isConnected ? submitter : null);
}

document.addEventListener("htmx:responseError", (event) => {
  const { xhr, elt } = /** @type {CustomEvent<{ xhr: XMLHttpRequest, elt: Element }>} */ (event).detail;
  if (xhr.status !== 401 || !isSignedIn()) return;
  connection.signedOut(() => elt instanceof HTMLFormElement && elt.requestSubmit());
});
