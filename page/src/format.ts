// Numbers, times, and sizes as people read them.

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB"];
  let value = bytes;
  let unit = "B";
  for (const next of units) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

export function ms(value: number): string {
  if (value < 1) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
  return span(value);
}

// The two largest units: `3 d 4 h`, `12 min`.
export function span(milliseconds: number): string {
  let left = Math.max(0, Math.round(milliseconds / 1000));
  const parts: string[] = [];
  for (const [seconds, unit] of [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]] as const) {
    const whole = Math.floor(left / seconds);
    left -= whole * seconds;
    if (whole > 0) parts.push(`${whole} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0 s";
}

export function time(at: string): string {
  return at.slice(11, 19);
}

export function moment(at: string): string {
  return `${at.slice(0, 10)} ${at.slice(11, 19)} UTC`;
}

export function usd(value: number): string {
  if (value === 0) return "$0";
  return `$${value < 0.01 ? value.toFixed(6) : value.toFixed(4)}`;
}
