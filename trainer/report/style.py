"""What every report looks like, light and dark, on a desk and on a phone."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6573; --paper: #fbfaf7; --card: #ffffff; --line: #e4e2dc;
  --best: #c93f0a; --fifth: #1f6f8b; --rest: #9aa3ad; --s0: #e8eef1; --s1: #cfe0e6; --s2: #b3d0da; --s3: #93bdcb;
  --s4: #71a9bb; --s5: #4f93a9; --c0: #1f6f8b; --c1: #c93f0a; --c2: #7048b6; --c3: #2b7a3c; --c4: #9a6b00;
  --c5: #b8306f; --c6: #3358d4; --c7: #7a4a1f; --c8: #00796b; --c9: #5b6573 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a0aab7; --paper: #14181d; --card: #1b2027;
  --line: #2c333c; --best: #ff8a4c; --fifth: #63b3cf; --rest: #6b7682; --s0: #222a32; --s1: #24363f; --s2: #26434f;
  --s3: #28505f; --s4: #2a5d70; --s5: #2c6b81; --c0: #63b3cf; --c1: #ff8a4c; --c2: #b79cf0; --c3: #7bc98a;
  --c4: #e0b64a; --c5: #f08fb8; --c6: #8fa8ff; --c7: #cf9f72; --c8: #5cc4b6; --c9: #a0aab7 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1040px; padding: 40px 24px 80px; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif }
h1 { font-size: 28px; line-height: 1.25; letter-spacing: -0.02em; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 19px; letter-spacing: -0.01em; margin: 52px 0 2px } h3 { font-size: 14px; margin: 0 0 6px }
p { color: var(--soft); margin: 2px 0 12px; max-width: 74ch; overflow-wrap: anywhere }
.story p { color: var(--ink); font-size: 16px; margin: 0 0 10px } .story { margin: 18px 0 0 }
p.lead { font-size: 16px }
p.key { font-size: 13px; margin: 0 0 4px } small { color: var(--soft); font-size: 12px }
.story b { font-variant-numeric: tabular-nums }
a { color: var(--fifth) } nav { margin: 10px 0 0; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 14px }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px; overflow-x: auto }
.card + .card { margin-top: 12px }
dl { display: flex; flex-wrap: wrap; gap: 10px 36px; margin: 22px 0 0 } dt { color: var(--soft); font-size: 13px }
dd { margin: 0; font-size: 22px; font-variant-numeric: tabular-nums; letter-spacing: -0.01em }
ul.warnings { margin: 10px 0 0; padding: 0; list-style: none; max-width: 90ch }
ul.warnings li { border-left: 3px solid var(--best); padding: 4px 0 4px 14px; margin: 0 0 8px; overflow-wrap: anywhere }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 24px 28px }
.grid > * { min-width: 0 }
svg { display: block; width: 100%; height: auto; font-size: 12px; font-family: inherit; overflow: visible }
svg.wide { min-width: 640px } svg.mini { width: 190px } svg.large { max-width: 760px }
svg.own { width: auto; max-width: 100% }
svg text { fill: var(--ink) } svg .small { fill: var(--soft); font-size: 11px } svg .name { font-weight: 600 }
svg .halo { paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round }
svg .grid { stroke: var(--line) } svg .axis { stroke: var(--soft) } svg .stage-line { stroke: var(--soft);
  stroke-dasharray: 2 4 } svg .so-far { fill: none; stroke: var(--best); stroke-width: 1.5; opacity: .65 }
svg .chosen { stroke: var(--best); stroke-width: 1.4; stroke-dasharray: 5 3 }
svg .even { stroke: var(--rest); stroke-dasharray: 3 4; fill: none }
svg .curve { fill: none; stroke-width: 2.2; stroke-linejoin: round } svg .member { fill: none; stroke-width: 1;
  opacity: .35 } svg .dashed { stroke-dasharray: 6 4 } svg .band { stroke: none; opacity: .16 }
svg .whisker { stroke: var(--ink); stroke-width: 1.5 }
svg .under { fill: var(--rest); opacity: .32 } svg .right { fill: var(--fifth) } svg .wrong { fill: var(--best) }
svg text.nil { fill: var(--soft); opacity: .6 }
circle.best { fill: var(--best) } circle.fifth { fill: var(--fifth) } circle.rest { fill: var(--rest); opacity: .75 }
circle.hollow, path.hollow { fill: var(--card); stroke: var(--rest); stroke-width: 1.4 }
circle.hollow.fifth { stroke: var(--fifth) }
circle.hollow.best, path.hollow.best { stroke: var(--best) } circle.stop { fill: var(--rest) } svg .unit { opacity: .5 }
.trial { fill: none; stroke-linejoin: round } .trial.best { stroke: var(--best); stroke-width: 2.6 }
.trial.fifth { stroke: var(--fifth); stroke-width: 1.5; opacity: .85 } .trial.rest { stroke: var(--rest); opacity: .38 }
.trial.faint { opacity: .2 } .trial:hover { stroke: var(--ink); stroke-width: 3; opacity: 1 }
rect.bar { fill: var(--fifth) } .stage-0 { fill: var(--s0) } .stage-1 { fill: var(--s1) } .stage-2 { fill: var(--s2) }
.stage-3 { fill: var(--s3) } .stage-4 { fill: var(--s4) } .stage-5 { fill: var(--s5) }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { text-align: right; padding: 5px 14px 5px 0 } th { color: var(--soft); font-weight: 500 }
th.left, td.left, tbody th { text-align: left } tbody th { color: var(--ink); font-weight: 600 }
td.words { text-align: left; white-space: normal; min-width: 200px; color: var(--soft); overflow-wrap: anywhere }
tbody tr + tr > * { border-top: 1px solid var(--line) } tr.best > * { color: var(--best); font-weight: 600 }
code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
code.block { display: block; background: var(--s0); border-radius: 8px; padding: 12px 14px }
pre { margin: 0; white-space: pre-wrap; font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
details { margin-top: 12px } summary { cursor: pointer; color: var(--fifth); font-size: 14px }
b.best { color: var(--best) } b.fifth { color: var(--fifth) } footer { margin-top: 48px; color: var(--soft);
  font-size: 13px }
@media (max-width: 600px) { body { padding: 24px 14px 60px } .card { padding: 14px 12px } h1 { font-size: 23px }
  svg { font-size: 14px } svg .small { font-size: 13px } svg.wide, svg.mini, svg.own { font-size: 12px }
  svg.wide .small, svg.mini .small, svg.own .small { font-size: 11px } th, td { padding-right: 9px; font-size: 12px }
  thead th { white-space: normal; vertical-align: bottom }
  table.features, table.features tbody, table.features tr, table.features td, table.features tbody th { display: block;
    text-align: left; padding: 2px 0; border: 0 } table.features thead { display: none }
  table.features tr { border-top: 1px solid var(--line); padding: 10px 0 } }
@media print { body { max-width: none } .card { break-inside: avoid } nav { display: none } }
""" + "".join(
    f".l{n} {{ stroke: var(--c{n}) }} .f{n}, svg text.t{n} {{ fill: var(--c{n}) }} b.k{n} {{ color: var(--c{n}) }}\n"
    for n in range(10)
)
