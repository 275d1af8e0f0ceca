-- Tables for people, with aligned columns, or the same rows as lines of JSON.
local options = require "lib.options"

local M = {}

-- Characters, not bytes: continuation bytes of UTF-8 are not counted.
local function width(text)
    return select(2, text:gsub("[^\128-\191]", ""))
end

local function pad(text, columns, is_right)
    local space = (" "):rep(columns - width(text))
    return is_right and space .. text or text .. space
end

-- Prints a table as a line of JSON, its numbers with six decimals: sums of them have many more by chance.
function M.emit(row)
    for name, value in pairs(row) do
        if type(value) == "number" then
            row[name] = math.floor(value * 1e6 + 0.5) / 1e6
        end
    end
    tcpkit.emit(row)
end

-- Set while what is shown is about the time up to this second: then tables say so.
M.now = nil

function M.title(text)
    return M.now and os.date("%Y-%m-%d %H:%M:%S ", M.now) .. text or text
end

-- A tick() that reports every `seconds` (never with 0), and then begins anew.
function M.every(seconds, report, begin)
    local is_due = options.timer(seconds)
    return function(now)
        if is_due(now) then
            M.now = now
            report()
            M.now = nil
            begin()
        end
    end
end

-- Prints rows, each a table of values by name. A column is { name, header, format }: with a format, its
-- values are numbers and stand at the right; without one they are texts. What is missing is `-`.
-- With `as_json` each row becomes a line, under its names, with `kind` as its kind.
function M.show(as_json, kind, title, columns, rows)
    if as_json then
        for _, row in ipairs(rows) do
            row.kind, row["until"] = kind, M.now
            M.emit(row)
        end
        return
    end
    local lines, widths = { {} }, {}
    for at, column in ipairs(columns) do
        lines[1][at] = column[2]
    end
    for number, row in ipairs(rows) do
        local line = {}
        for at, column in ipairs(columns) do
            local value = row[column[1]]
            line[at] = value == nil and "-" or column[3] and column[3]:format(value) or tostring(value)
        end
        lines[number + 1] = line
    end
    for _, line in ipairs(lines) do
        for at, text in ipairs(line) do
            widths[at] = math.max(widths[at] or 0, width(text))
        end
    end
    print(M.title(title))
    for _, line in ipairs(lines) do
        for at, text in ipairs(line) do
            line[at] = pad(text, widths[at], columns[at][3] ~= nil)
        end
        print((table.concat(line, "  "):gsub(" +$", "")))
    end
    print()
end

-- Columns with the percentiles of a histogram of milliseconds, and what stands in them.
M.percentiles = {
    { "p50_ms", "P50 ms", "%.3f" },
    { "p90_ms", "P90 ms", "%.3f" },
    { "p99_ms", "P99 ms", "%.3f" },
    { "max_ms", "MAX ms", "%.3f" },
}

function M.add_percentiles(row, histogram)
    row.p50_ms, row.p90_ms = histogram:percentile(50), histogram:percentile(90)
    row.p99_ms, row.max_ms = histogram:percentile(99), histogram:max()
    return row
end

-- Lists one behind the other.
function M.join(...)
    local all = {}
    for _, list in ipairs { ... } do
        for _, it in ipairs(list) do
            all[#all + 1] = it
        end
    end
    return all
end

return M
