"""How well colours are told apart, as the Web Content Accessibility Guidelines compute it.

Text is legible at a ratio of 4.5 to what is behind it, a mark is seen at a ratio of 3
(https://www.w3.org/TR/WCAG22/#contrast-minimum and #non-text-contrast).
"""

from __future__ import annotations

import re

TEXT, MARK = 4.5, 3.0


def parse(text):
    """Return red, green, blue (0 to 255) and opacity (0 to 1) of a computed colour."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", text)]
    return (*numbers[:3], numbers[3] if len(numbers) > 3 else 1.0)


def contrast(colour, ground):
    """Return the contrast, 1 to 21, of a computed colour on an opaque one."""
    red, green, blue, opacity = parse(colour)
    behind = parse(ground)[:3]
    seen = [
        opacity * value + (1 - opacity) * under for value, under in zip((red, green, blue), behind)
    ]
    light, dark = sorted((luminance(seen), luminance(behind)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    """Return how light a colour is, 0 to 1."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (part / 255 for part in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
