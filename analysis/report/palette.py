"""The page's colours of series and of the colour map, as CSS variables for light and for dark paper."""

from collections.abc import Sequence

from analysis.style import COLOURS, DARK_COLOURS, DARK_MAP, DARK_REST, MAP, REST, ink_on


def palette() -> str:
    """Rules for `--rest`, `--series-N`, `--map-N`, and `--on-map-N`, the colour of text on `--map-N`."""
    light, dark = _variables(COLOURS, MAP, REST), _variables(DARK_COLOURS, DARK_MAP, DARK_REST)
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def _variables(series: Sequence[str], colour_map: Sequence[str], rest: str) -> str:
    numbered = {"series": series, "map": colour_map, "on-map": [ink_on(colour) for colour in colour_map]}
    named = {f"{name}-{index}": value for name, values in numbered.items() for index, value in enumerate(values)}
    return " ".join(f"--{name}: {value};" for name, value in {"rest": rest, **named}.items())
