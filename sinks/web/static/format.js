// Numbers, times and values in words.

const NUMBER = new Intl.NumberFormat("en");
const DAY_SECONDS = 86_400;
const REVISION = /\b([0-9a-f]{7})[0-9a-f]{33}\b/g;

export const number = (value) => NUMBER.format(value);

/** "1 cluster", "2,000 clusters". */
export const count = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;

/** How long, with the two figures that a person reads: "4 s", "3 min", "2 h 10 min", "5 d". */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < DAY_SECONDS) {
    const minutes = Math.floor((seconds % 3600) / 60);
    return `${Math.floor(seconds / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  const hours = Math.floor((seconds % DAY_SECONDS) / 3600);
  return `${Math.floor(seconds / DAY_SECONDS)} d${hours ? ` ${hours} h` : ""}`;
}

/** "14:03:22", with the date in front where that is not today's. */
export function clock(ms, now = Date.now()) {
  const at = new Date(ms);
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date(now).toDateString()
    ? time
    : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

export const iso = (ms) => new Date(ms).toISOString();

/** A text in which every commit's hash is as short as Git shows it. */
export const shortened = (text) => String(text ?? "").replaceAll(REVISION, "$1");

/** Flux's `main@sha1:…` as `main@…`, short. */
export const revision = (text) => shortened(text).replace("@sha1:", "@");

/** A field's value as it would stand in YAML on one line. */
export function value(found) {
  if (found === undefined || found === null) return "nothing";
  return typeof found === "string" ? found : JSON.stringify(found);
}

/** A JSON pointer as people write paths: spec.template.spec.containers[0].image. */
export function path(pointer) {
  return String(pointer)
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part, place) => (/^\d+$/.test(part) ? `[${part}]` : /[./]/.test(part) ? `["${part}"]` : place ? `.${part}` : part))
    .join("");
}

/** Kind namespace/name. */
export const object = (reference) =>
  reference ? `${reference.kind} ${reference.namespace ? `${reference.namespace}/` : ""}${reference.name}` : "";
