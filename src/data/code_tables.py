"""Tables of code points as C arrays, for the scripts beside it."""


def add_range(ranges, code, *values):
    """Appends a code to ranges [from, to, *values]: to the last one where it follows it and has the same values."""
    if ranges and ranges[-1][1] == code - 1 and ranges[-1][2:] == list(values):
        ranges[-1][1] = code
    else:
        ranges.append([code, code, *values])


def add_lower(lower, code, small):
    """Appends a capital letter's code to rows [from, to, step, difference], by its small letter."""
    delta = ord(small) - code
    last = lower[-1] if lower else None
    if last and last[3] == delta and code - last[1] in (1, 2) and last[2] in (0, code - last[1]):
        last[2] = code - last[1]
        last[1] = code
    else:
        lower.append([code, code, 0, delta])


def table(name, what, rows, type="int32_t", number=str, width=118):
    """Prints the rows as an array, below a comment where there is one."""
    if what:
        print(f"/* {what} */")
    print(f"static const {type} {name}[][{len(rows[0])}] = {{")
    line = "   "
    for row in rows:
        entry = " {" + ",".join(number(v) for v in row) + "},"
        if len(line) + len(entry) > width:
            print(line)
            line = "   "
        line += entry
    print(line + "\n};")
