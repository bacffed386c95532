// The content policy demands trusted types at every script sink. htmx and idiomorph hand plain strings to DOMParser,
// so a default policy lets markup pass (it came from our own origin, escaped by the templates, and the policy's
// nonce keeps any script in it from running). Strings that would become code or a script address are refused.

/** @typedef {{ createPolicy(name: string, rules: object): unknown }} PolicyFactory */

const factory = /** @type {{ trustedTypes?: PolicyFactory }} */ (/** @type {unknown} */ (window)).trustedTypes;

factory?.createPolicy("default", {
  createHTML: (/** @type {string} */ markup) => markup,
  createScript: () => null,
  createScriptURL: () => null,
});
