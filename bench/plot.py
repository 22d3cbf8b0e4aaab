"""A plot with two logarithmic axes as SVG, without any library."""
import html
import math

COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7d5ba6", "#b8860b", "#444444")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 460, 78, 190, 40, 56


def ticks(low, high):
    """1, 2 and 5 times powers of ten between the two; powers alone where that would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    return [m * 10.0**p for p in powers for m in steps if low <= m * 10.0**p <= high * 1.0001]


def number(value):
    return "{:,.0f}".format(value) if value >= 1 else "%g" % value


def loglog(title, x_name, y_name, series):
    """series: [(label, [(x, y), ...])], or with a third entry, the label of the series that this one goes on dashed: it has its colour and no
    spots. All numbers positive. The SVG's text."""
    points = [point for _, line, *_ in series for point in line]
    x_low, x_high = min(x for x, _ in points) / 1.15, max(x for x, _ in points) * 1.15
    y_low, y_high = min(y for _, y in points) / 1.3, max(y for _, y in points) * 1.3

    def place(x, y):
        across = (math.log(x) - math.log(x_low)) / (math.log(x_high) - math.log(x_low))
        up = (math.log(y) - math.log(y_low)) / (math.log(y_high) - math.log(y_low))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">' % (WIDTH, HEIGHT),
             '<rect width="100%" height="100%" fill="white"/>',
             '<text x="%d" y="22" font-size="15">%s</text>' % (LEFT, html.escape(title))]
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    columns = sorted({x for x, _ in points}, reverse=True)
    for i, x in enumerate(columns):
        at, _ = place(x, y_low)
        label = number(x) if len(columns) < 8 or i % 2 == 0 else ""  # there is room for seven
        parts.append('<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>' %
                     (at, TOP, bottom, at, bottom + 17, label))
    for y in ticks(y_low, y_high):
        _, at = place(x_low, y)
        parts.append('<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>' %
                     (LEFT, at, right, LEFT - 6, at + 4, number(y)))
    parts.append('<path d="M%d %d V%d H%d" fill="none" stroke="black"/>' % (LEFT, TOP, bottom, right))
    parts.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % ((LEFT + right) / 2, HEIGHT - 14, html.escape(x_name)))
    parts.append('<text x="18" y="%.1f" text-anchor="middle" transform="rotate(-90 18 %.1f)">%s</text>' %
                 ((TOP + bottom) / 2, (TOP + bottom) / 2, html.escape(y_name)))
    colours = {}
    for i, (label, line, *of) in enumerate(series):
        colours[label] = colours.get(of[0]) if of else COLOURS[len(colours) % len(COLOURS)]
        colour, spots, dash = colours[label], [place(x, y) for x, y in line], ' stroke-dasharray="6 5"' if of else ""
        parts.append('<polyline fill="none" stroke="%s" stroke-width="2"%s points="%s"/>' %
                     (colour, dash, " ".join("%.1f,%.1f" % spot for spot in spots)))
        parts += ['<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>' % (x, y, colour) for x, y in spots if not of]
        parts.append('<path d="M%d %d h14" stroke="%s" stroke-width="3"%s/><text x="%d" y="%d">%s</text>' %
                     (right + 10, TOP + 22 * i + 7, colour, dash, right + 30, TOP + 22 * i + 11, html.escape(label)))
    return "\n".join(parts + ["</svg>"]) + "\n"
