"""How the gallery looks: one style sheet, light and dark, for screens of any width."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2126; --soft: #5d6670; --line: #e3e0da; --link: #0b5cad;
  --holds: #12694a; --holds-back: #e2f3ea; --fails: #a3261c; --fails-back: #fce8e5;
  --declared: #76540a; --declared-back: #fbf0d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1c2127; --ink: #e7e9ec; --soft: #a2abb5; --line: #323942; --link: #7fb8f5;
    --holds: #7fd8b0; --holds-back: #17372b; --fails: #ff9d92; --fails-back: #43201d;
    --declared: #eec873; --declared-back: #3b301a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; padding-bottom: 1rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 .3rem; letter-spacing: -.005em; }
p { margin: .4rem 0; }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
.lead { color: var(--soft); max-width: 46rem; }
.totals { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; padding: 0; margin: 1rem 0; }
.contents { padding-left: 1.2rem; margin: 1rem 0 0; }
.contents li { margin: .2rem 0; }
.badge { display: inline-block; padding: .08rem .6rem; border-radius: 1rem; font-size: .85rem; font-weight: 600;
  white-space: nowrap; border: 1px solid var(--line); color: var(--soft); }
.holds { color: var(--holds); background: var(--holds-back); border-color: transparent; }
.fails { color: var(--fails); background: var(--fails-back); border-color: transparent; }
.declared { color: var(--declared); background: var(--declared-back); border-color: transparent; }
section { border-top: 1px solid var(--line); padding: 2rem 0 1rem; }
.about { color: var(--soft); font-size: .92rem; margin-bottom: 1rem; }
.error { background: var(--fails-back); color: var(--fails); border-radius: .5rem; padding: .6rem 1rem; }
.error pre { margin: .3rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
figure { margin: 1.25rem 0; padding: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; overflow: hidden; }
.picture { display: block; background: #ffffff; padding: 1rem; text-align: center; }
.picture img { max-width: 100%; height: auto; max-height: 34rem; }
figcaption { padding: .9rem 1.25rem 1rem; border-top: 1px solid var(--line); }
.files { font-size: .88rem; color: var(--soft); }
.claims { list-style: none; margin: .75rem 0 0; padding: 0; }
.claims li { border-top: 1px solid var(--line); padding: .7rem 0 .6rem; }
.claims p { margin: .25rem 0; }
.outside { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 0 1.25rem; }
.outside li:first-child { border-top: 0; }
.id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .82rem; color: var(--soft);
  overflow-wrap: anywhere; }
.measured { font-variant-numeric: tabular-nums; }
.source { color: var(--soft); font-size: .9rem; }
details { font-size: .9rem; color: var(--soft); }
summary { cursor: pointer; }
details p { white-space: pre-wrap; overflow-wrap: anywhere; }
footer { padding-top: 1rem; padding-bottom: 3rem; color: var(--soft); font-size: .88rem; }
"""
