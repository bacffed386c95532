// Whether the server answers and knows this browser: the line that says "Connection lost", and the sign-in over a page.
import { byId, make } from "./dom.js";

const patience = 8000;

/** @typedef {"ok" | "signed-out" | "away"} Answer */

function line() {
  const known = byId("connection");
  if (known) return known;
  const made = make("div", "connection");
  made.id = "connection";
  made.popover = "manual";
  made.setAttribute("role", "status");
  document.body.append(made);
  return made;
}

/** @param {string} text @param {HTMLElement} [more] */
function say(text, more) {
  const place = line();
  if (place.dataset.text === text && place.matches(":popover-open")) return;
  place.dataset.text = text;
  place.replaceChildren(make("span", "connection-dot"), make("span", "", text), ...(more ? [more] : []));
  if (!place.matches(":popover-open")) place.showPopover();
}

export const connection = {
  lost() {
    say("Connection lost, trying again");
  },

  found() {
    const place = byId("connection");
    if (place?.matches(":popover-open")) place.hidePopover();
  },

  /** @param {() => void} then */
  signedOut(then) {
    const button = make("button", "btn btn-sm", "Sign in");
    button.type = "button";
    button.addEventListener("click", async () => {
      if (await signIn()) {
        connection.found();
        then();
      }
    });
    say("You are signed out", button);
  },

  /** @returns {Promise<Answer>} */
  async ask() {
    try {
      const answer = await fetch("/api/v1/me", { cache: "no-store", signal: AbortSignal.timeout(patience) });
      if (answer.status === 401) return "signed-out";
      if (answer.ok) renew((await answer.json()).csrf_token);
      return answer.status >= 500 ? "away" : "ok";
    } catch {
      return "away";
    }
  },
};

/** Whether somebody is signed in on this page. */
export function isSignedIn() {
  return token() !== "";
}

function token() {
  return String(JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRF-Token"] ?? "");
}

/** A new session has a new token against forgery. @param {string | null} fresh */
function renew(fresh) {
  if (!fresh || fresh === token()) return;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRF-Token": fresh }));
  for (const field of document.querySelectorAll("input[name=csrf_token]")) {
    if (field instanceof HTMLInputElement) field.value = fresh;
  }
}

/** Asks for the password over the page, which stays as it is. Returns whether somebody signed in. */
export function signIn() {
  const dialog = byId("sign-in");
  return dialog instanceof HTMLDialogElement ? askPassword(dialog, "/api/v1/session") : Promise.resolve(false);
}

/**
 * Returns whether the server took what the form of a dialog has.
 * @param {HTMLDialogElement} dialog
 * @param {string} address
 * @returns {Promise<boolean>}
 */
export function askPassword(dialog, address) {
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  const error = /** @type {HTMLElement} */ (dialog.querySelector("[data-sign-in-error]"));
  error.hidden = true;
  form.reset();
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    const ended = new AbortController();
    dialog.addEventListener("close", () => {
      ended.abort();
      resolve(dialog.returnValue === "done");
    }, { signal: ended.signal });
    dialog.returnValue = "";
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopPropagation();
      const problem = await send(form, address);
      if (!problem) return dialog.close("done");
      error.textContent = problem;
      error.hidden = false;
    }, { signal: ended.signal });
  });
}

/** @param {HTMLFormElement} form @param {string} address */
async function send(form, address) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": token() },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
      signal: AbortSignal.timeout(patience),
    });
    const said = await answer.json();
    if (!answer.ok) return [said.detail, said.hint].filter(Boolean).join(" ");
    renew(said.csrf_token);
    return "";
  } catch {
    return "Orca cannot be reached. Try again in a moment.";
  }
}
