# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One self-contained page: no script, no address outside itself."""

import re

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from sertl.report.elements import Section

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: #1f2933;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
header, section { background: #fff; border: 1px solid #dde2e8; border-radius: 8px;
                  padding: 1.1rem 1.4rem 1.3rem; margin: 0 0 1.1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .7rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .4rem 0; max-width: 48rem; }
.lead { color: #52606d; }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 .8rem; }
.figures div { border: 1px solid #dde2e8; border-radius: 6px; padding: .5rem .9rem; }
.figures b { display: block; font-size: 1.6rem; line-height: 1.25; }
.figures span { color: #52606d; font-size: .88rem; }
.warning { background: #fff6e0; border-left: 4px solid #b45f06; padding: .5rem .8rem;
           margin: .6rem 0; }
nav { font-size: .92rem; } nav a { margin-right: .9rem; white-space: nowrap; }
a { color: #00558c; }
.scroll { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; white-space: nowrap; font-weight: 600; padding: 0 0 .35rem; }
th, td { padding: .28rem .65rem; border-bottom: 1px solid #e4e8ed; text-align: left;
         vertical-align: top; }
th { font-weight: 600; } thead th { border-bottom: 2px solid #b8c1cc; }
.n { text-align: right; white-space: nowrap; }
tbody th { font-weight: 400; white-space: nowrap; }
tbody th.ours, tbody th.ours ~ td { font-weight: 600; background: #eef5fb; }
tbody th.sub { padding-left: 1.8rem; color: #52606d; }
table.words td { overflow-wrap: anywhere; }
table.words tbody th { color: #52606d; }
.note { color: #52606d; font-size: .88rem; }
figure { margin: .8rem 0; overflow-x: auto; } img { max-width: 100%; height: auto; display: block; }
pre { background: #f4f6f8; padding: .7rem .9rem; border-radius: 6px; overflow-x: auto;
      font-size: .85rem; margin: .5rem 0; }
code { background: #eef1f4; border-radius: 3px; padding: 0 .25em; overflow-wrap: anywhere; }
@media print { body { background: #fff; } header, section { border: 0; break-inside: avoid; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<h1>{{ title }}</h1>
<p class="lead">{{ lead }}</p>
<div class="figures">
{% for figure in figures %}<div><b>{{ figure[1] }}</b><span>{{ figure[0] }}</span></div>
{% endfor %}</div>
{% for warning in warnings %}<p class="warning"><strong>Warning:</strong> {{ warning }}</p>
{% endfor %}<nav aria-label="Sections">{% for section in sections %}
<a href="#{{ section.id }}">{{ section.title }}</a>{% endfor %}
</nav>
</header>
{% for section in sections %}<section id="{{ section.id }}">
<h2>{{ section.title }}</h2>
{% for element in section.elements %}{{ render(element) }}
{% endfor %}</section>
{% endfor %}</main>
</body>
</html>
"""

ELEMENTS = {
    "Table": """<div class="scroll" tabindex="0">
<table{% if element.header|length == 2 %} class="words"{% endif %}>
{% if element.caption %}<caption>{{ element.caption }}</caption>
{% endif %}<thead><tr>{% for word in element.header %}
<th scope="col"{% if element.is_number(loop.index0) %} class="n"{% endif %}>{{ word }}</th>
{% endfor %}</tr></thead>
<tbody>
{% for row in element.rows %}<tr>{% for word in row %}
{% if loop.first %}<th scope="row"{{ row_class(word) }}>{{ word }}</th>
{% else %}<td{% if element.is_number(loop.index0) %} class="n"{% endif %}>{{ word }}</td>
{% endif %}{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% for note in element.notes %}<p class="note">{{ note }}</p>{% endfor %}""",
    "Text": "<p>{{ inline(element.text) }}</p>",
    "Heading": "<h3>{{ element.text }}</h3>",
    "Code": "{% if element.summary %}<details><summary>{{ element.summary }}</summary>{% endif %}"
    "<pre>{{ element.text }}</pre>{% if element.summary %}</details>{% endif %}",
    "Figure": '<figure><img src="{{ element.source }}" width="{{ element.width_px }}" '
    'alt="{{ element.alt }}"></figure>',
}


def render_page(
    title: str,
    lead: str,
    figures: list[tuple[str, str]],
    warnings: list[str],
    sections: list[Section],
) -> str:
    """The page as text.

    Args:
        title: Of the experiment.
        lead: One line below it.
        figures: (what, number) printed large.
        warnings: What a reader must know first.
        sections: In order.
    """
    environment = Environment(trim_blocks=True, autoescape=True, undefined=StrictUndefined)
    templates = {kind: environment.from_string(text) for kind, text in ELEMENTS.items()}

    def render(element: object) -> Markup:
        text = templates[type(element).__name__].render(
            element=element, inline=inline, row_class=row_class
        )
        return Markup(text)

    return environment.from_string(PAGE).render(
        title=title,
        lead=lead,
        figures=figures,
        warnings=warnings,
        sections=sections,
        style=Markup(STYLE),
        render=render,
    )


def row_class(word: str) -> Markup:
    """How a row is set, told from its name: below the one above (leading blanks), or our own."""
    kind = "sub" if word.startswith("  ") else "ours" if word.startswith("this run") else ""
    return Markup(f' class="{kind}"' if kind else "")


def inline(text: str) -> Markup:
    """Escape a paragraph, then mark `code` and **bold** in it."""
    safe = str(escape(text))
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe))
