-- Which commands take how long, and which take the most time together; of any protocol.
--
--     tcpkit -i eth0 -p redis -S scripts/slow-by-command.lua
--     tcpkit -r capture.pcap -p auto -S scripts/slow-by-command.lua -- sort=p99
--
-- Options behind `--`:
--     sort=total|p99|count|max   what comes first (total)
--     top=N                      so many lines; 0 for all (30)
--     every=S                    a table every S seconds, of that time only; otherwise one at the end
--     json=1                     lines of JSON instead of text
--
-- A line for each operation (a command, a method, a call): how many, how many failed, percentiles of the
-- latency (exact to 1 %), and its share in the time of all requests together. A command that is fast but
-- frequent may cost more than a slow one:
--
--     PROTOCOL  OPERATION  COUNT  ERRORS  P50 ms  P90 ms  P99 ms  MAX ms  TOTAL ms  SHARE
--     redis     GET           83       0   0.006   0.012   0.070   0.070     0.808  43.6%
--
-- Each operation takes 10 KB, so there are 1000 at most; what comes later is together in `(other)`.
local options = require "lib.options"
local tables = require "lib.table"
local top = require "lib.top"

local MAX_OPERATIONS = 1000

local opt, report, groups

local function make(protocol, operation)
    return { protocol = protocol, operation = operation, errors = 0, latency = tcpkit.histogram() }
end

local function begin()
    groups = top.groups(MAX_OPERATIONS, make)
end

function init(given)
    opt = options.read(given, { sort = { "total", "p99", "count", "max" }, top = 30, every = 0, json = false })
    tick = tables.every(opt.every, report, begin)
    begin()
end

function transaction(t)
    local group = groups.get(t.protocol .. " " .. t.operation, t.protocol, t.operation)
    if t.status == "error" then
        group.errors = group.errors + 1
    end
    group.latency:record(t.latency_us / 1000)
end

-- What rows are sorted by, for each `sort`.
local SORT = { total = "total_ms", p99 = "p99_ms", count = "count", max = "max_ms" }

function report()
    local rows, total = {}, 0
    local function add(group, protocol, operation)
        local row = tables.add_percentiles({
            protocol = protocol, operation = operation, count = group.latency:count(),
            errors = group.errors, total_ms = group.latency:sum(),
        }, group.latency)
        total = total + row.total_ms
        rows[#rows + 1] = row
    end
    for _, group in pairs(groups.all) do
        add(group, group.protocol, group.operation)
    end
    if groups.other then
        add(groups.other, nil, "(other)")
    end
    if #rows == 0 then
        return
    end
    local by = SORT[opt.sort]
    table.sort(rows, function(a, b)
        if a[by] ~= b[by] then
            return a[by] > b[by]
        elseif a.operation ~= b.operation then
            return a.operation < b.operation
        end
        return (a.protocol or "") < (b.protocol or "")
    end)
    for _, row in ipairs(rows) do
        -- All may have taken no time that can be measured.
        row.share = total > 0 and row.total_ms / total * 100 or 0
    end
    local operations = #rows
    if opt.top > 0 then
        for at = operations, opt.top + 1, -1 do
            rows[at] = nil
        end
    end
    local title = ("Operations by %s (%d of %d):"):format(opt.sort, #rows, operations)
    tables.show(opt.json, "operation", title, tables.join({
        { "protocol", "PROTOCOL" },
        { "operation", "OPERATION" },
        { "count", "COUNT", "%d" },
        { "errors", "ERRORS", "%d" },
    }, tables.percentiles, {
        { "total_ms", "TOTAL ms", "%.3f" },
        { "share", "SHARE", "%.1f%%" },
    }), rows)
end

finish = report
