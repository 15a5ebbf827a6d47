import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["node_modules/", "odavl_hub/static/vendor/", "staticfiles/", ".venv/"] },
  js.configs.recommended,
  { files: ["frontend/**/*.mjs", "eslint.config.js"], languageOptions: { globals: globals.node } },
  {
    files: ["odavl_hub/static/js/*.js"],
    languageOptions: {
      sourceType: "script",
      globals: { ...globals.browser, htmx: "readonly", uPlot: "readonly" },
    },
  },
];
