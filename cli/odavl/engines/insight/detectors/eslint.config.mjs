// The rules that ODAVL looks for in JavaScript and TypeScript, whatever a project's own settings
// say: those are programs, and an analysis runs no code of the project it analyses.
//
// This file is copied out of the Python package before use. Its imports therefore cannot be found
// from where it lies; they are found from where ESLint lies, which ODAVL names.
import { createRequire } from "node:module";
import { join } from "node:path";

const find = createRequire(join(process.env.ODAVL_ESLINT_HOME, "package.json"));
const javascript = find("@eslint/js");
const environments = find("globals");
const typescript = find("typescript-eslint");

// Nothing says whether a file is meant for a browser or for Node: what either knows is defined.
const known = {
  ...environments.browser,
  ...environments.serviceworker,
  ...environments.node,
  ...environments.commonjs,
};
const javascriptFiles = ["**/*.{js,mjs,cjs,jsx}"];
const typescriptFiles = ["**/*.{ts,mts,cts,tsx}"];

export default [
  {
    linterOptions: { reportUnusedDisableDirectives: "off" },
    languageOptions: {
      ecmaVersion: "latest",
      globals: known,
      parserOptions: { ecmaFeatures: { jsx: true } },
    },
  },
  {
    files: javascriptFiles,
    rules: {
      ...javascript.configs.recommended.rules,
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-script-url": "error",
      "no-self-compare": "error",
      "no-template-curly-in-string": "warn",
      "no-unmodified-loop-condition": "warn",
      "array-callback-return": "error",
    },
  },
  { files: ["**/*.cjs"], languageOptions: { sourceType: "commonjs" } },
  ...typescript.configs.recommended.map((part) => ({ ...part, files: typescriptFiles })),
  { files: typescriptFiles, rules: { "no-eval": "error", "no-implied-eval": "error" } },
];
