// Colours for code: one pass of one expression for each language, into spans.

import { h } from "./dom";

export type Language = "python" | "bash" | "json" | "yaml" | "text";

const words = (text: string): string => `\\b(?:${text.split(" ").join("|")})\\b`;
const PYTHON = words("and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield None True False self print");
const BASH = words("if then else elif fi for while until do done case esac function in return exit local export set echo cd cat source");
const STRING = `"(?:\\\\.|[^"\\\\\\n])*"?|'(?:\\\\.|[^'\\\\\\n])*'?`;
const NUMBER = "\\b\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?\\b";

const RULES: Record<Exclude<Language, "text">, [string, string][]> = {
  python: [["c", "#[^\\n]*"], ["s", `"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|${STRING}`], ["k", PYTHON], ["n", NUMBER], ["f", "\\b[A-Za-z_]\\w*(?=\\()"]],
  bash: [["c", "(?<=^|\\s)#[^\\n]*"], ["s", STRING], ["v", "\\$\\{?[A-Za-z_]\\w*\\}?"], ["k", BASH], ["n", "(?<=\\s)\\d+\\b"], ["f", "(?<=\\s)--?[A-Za-z][\\w-]*"]],
  json: [["f", `"(?:\\\\.|[^"\\\\])*"(?=\\s*:)`], ["s", `"(?:\\\\.|[^"\\\\])*"`], ["k", words("true false null")], ["n", `-?${NUMBER}`]],
  yaml: [["c", "(?<=^|\\s)#[^\\n]*"], ["s", STRING], ["v", "\\$\\{\\{[^}]*\\}\\}"], ["f", "[\\w-]+(?=:(?:\\s|$))"], ["k", words("true false null")], ["n", NUMBER]],
};

// Beyond this, colours cost more than they give.
const MAX_CHARS = 60_000;

export function highlight(code: string, language: Language): (Node | string)[] {
  if (language === "text" || code.length > MAX_CHARS) return [code];
  const rules = RULES[language];
  const expression = new RegExp(rules.map(([, source]) => `(${source})`).join("|"), "gm");
  const out: (Node | string)[] = [];
  let last = 0;
  for (const match of code.matchAll(expression)) {
    if (!match[0]) continue;
    const group = match.slice(1).findIndex((part) => part !== undefined);
    out.push(code.slice(last, match.index), h("span", { class: `t-${rules[group]?.[0]}` }, match[0]));
    last = match.index + match[0].length;
  }
  out.push(code.slice(last));
  return out;
}
