/** The style of the page at /docs. Its hash stands in the page's policy, so no other style can apply. */
export const docsStyle = `
:root {
  color-scheme: light dark;
  --bg: light-dark(#faf9f7, #151311);
  --surface: light-dark(#ffffff, #1e1b18);
  --sunken: light-dark(#f2efeb, #272320);
  --line: light-dark(#e4dfd9, #37322d);
  --ink: light-dark(#211d1a, #ede8e3);
  --muted: light-dark(#655d56, #aaa198);
  --ember: light-dark(#b5420f, #f5915a);
  --ember-soft: light-dark(#fbeae1, #38241a);
  --good: light-dark(#2a7047, #72c492);
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0;
  background: var(--bg);
  color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Open Sans", sans-serif;
  overflow-wrap: break-word;
}
.column { max-width: 52rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 1.5rem); }
header { border-bottom: 1px solid var(--line); background: var(--surface); padding: 1.5rem 0 1.25rem; }
main { padding-bottom: 4rem; }
p { margin: 0.5rem 0; }
.name { display: flex; align-items: center; gap: 0.4rem; margin: 0; color: var(--ember); font-weight: 600; }
.lead, .type, .fields p, dd, nav span { color: var(--muted); }
h1 { margin: 0.25rem 0; font-size: clamp(1.625rem, 1.2rem + 1.8vw, 2.125rem); line-height: 1.2; letter-spacing: -0.02em; }
h2 { margin: 2.5rem 0 0.75rem; font-size: 1.25rem; line-height: 1.3; }
h3 { margin: 1.5rem 0 0.5rem; font-size: 0.875rem; color: var(--muted); font-weight: 600; }
a { color: var(--ember); text-underline-offset: 0.2em; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--ember); outline-offset: 2px; border-radius: 4px; }
code, pre { font-family: var(--mono); font-size: 0.875rem; }
pre {
  margin: 0.75rem 0;
  padding: 0.875rem 1rem;
  overflow-x: auto;
  background: var(--sunken);
  border: 1px solid var(--line);
  border-radius: 12px;
  line-height: 1.5;
}
ul { list-style: none; margin: 0; padding: 0; }
nav ul, .fields, dl { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
nav li + li, .fields > li + li, .codes dt + dd ~ dt { border-top: 1px solid var(--line); }
nav a { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.75rem; padding: 0.5rem 1rem; color: inherit; text-decoration: none; }
nav a:hover { background: var(--sunken); }
nav a span:last-child { margin-left: auto; font-size: 0.875rem; }
.method {
  flex: none;
  min-width: 3.25rem;
  padding: 0.1rem 0.4rem;
  border-radius: 6px;
  background: var(--ember-soft);
  color: var(--ember);
  font: 600 0.75rem/1.5 var(--mono);
  text-align: center;
}
.get { background: var(--sunken); color: var(--good); }
.operation { border-top: 1px solid var(--line); margin-top: 2.5rem; }
.operation > h2 { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.75rem; margin-top: 2rem; }
.operation > h2 code { font-size: 1.125rem; }
.note {
  padding: 0.05rem 0.4rem;
  border: 1px solid var(--line);
  border-radius: 6px;
  color: var(--ember);
  font: 500 0.75rem/1.5 system-ui, sans-serif;
  white-space: nowrap;
}
.fields > li { padding: 0.5rem 1rem; }
.fields p { margin: 0.1rem 0 0; font-size: 0.875rem; }
.field { font-weight: 600; margin-right: 0.35rem; }
.type { font-size: 0.875rem; }
details { margin: 0.4rem 0 0; }
summary { cursor: pointer; color: var(--muted); font-size: 0.875rem; width: fit-content; }
details > .fields { margin-top: 0.5rem; background: var(--bg); }
dl { margin: 0; }
dt { font-weight: 600; }
dd { margin: 0; font-size: 0.9375rem; }
dd a { text-decoration: none; }
dd a:hover { text-decoration: underline; }
dd > code, dd > a { margin-right: 0.25rem; }
.answers { display: grid; grid-template-columns: 4rem 1fr; }
.answers > dt, .answers > dd { padding: 0.5rem 1rem; border-top: 1px solid var(--line); min-width: 0; }
.answers > dt { font-family: var(--mono); font-size: 0.875rem; }
.answers > dt:first-of-type, .answers > dd:first-of-type { border-top: 0; }
.answers .fields { margin-top: 0.5rem; background: var(--bg); }
.codes dt { padding: 0.5rem 1rem 0; }
.codes dd { padding: 0 1rem 0.5rem; }
.codes dt:target { background: var(--ember-soft); }
.codes dt:target + dd { background: var(--ember-soft); }
@media (max-width: 36rem) {
  nav a span:last-child { margin-left: 0; flex-basis: 100%; }
  .answers { grid-template-columns: 1fr; }
  .answers > dt { padding-bottom: 0; }
  .answers > dd { border-top: 0; padding-top: 0.1rem; }
}
`
