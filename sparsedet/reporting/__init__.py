"""Reports: self-contained HTML pages, and pictures with boxes."""

from collections.abc import Callable
from typing import Any

import jinja2


def html_template(name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """Return a template of this package; values are escaped, undefined ones are errors."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__name__, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
