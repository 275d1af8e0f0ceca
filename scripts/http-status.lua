-- What servers answer over HTTP/1, HTTP/2 and gRPC, and how long that takes; what failed and what was slow.
--
--     tcpkit -i eth0 -p http -p http2 -S scripts/http-status.lua
--     tcpkit -r capture.pcap -p grpc -S scripts/http-status.lua -- by=class top=5
--
-- Options behind `--`:
--     by=status|class    a line for each status, or for 2xx, 3xx, 4xx … together (status)
--     top=N              so many slow requests and so many that failed (10)
--     json=1             lines of JSON instead of text
--
-- Three tables at the end: by server and status, with percentiles of the latency (exact to 1 %); the requests
-- that took longest; and those that failed (4xx, 5xx, and other statuses of gRPC than OK), by how often:
--
--     SERVER       STATUS  COUNT  SHARE  P50 ms  P90 ms  P99 ms  MAX ms
--     10.9.0.2:80  200        11  55.0%   0.118  22.399  51.730  51.730
--
-- The status of a gRPC call is that of its trailers; `cancelled` means that the client gave up, `none` that
-- there was no response. Failed requests are told apart by status, method, host and path, without the query.
-- Memory is bounded: 1000 pairs of server and status, what comes later is together in `(other)`; beyond 5000
-- different failed requests the rarer ones are forgotten, and the line above them says so.
local options = require "lib.options"
local tables = require "lib.table"
local time = require "lib.time"
local top = require "lib.top"

local MAX_GROUPS = 1000
local MAX_SLOW = 1000
local MAX_FAILED = 5000

local IS_HTTP = { http = true, http2 = true, grpc = true }

local opt
local total = 0

function init(given)
    opt = options.read(given, { by = { "status", "class" }, top = 10, json = false })
end

local groups = top.groups(MAX_GROUPS, function(server, status)
    return { server = server, status = status, latency = tcpkit.histogram() }
end)
local slow, failed = top.largest(MAX_SLOW), top.sums(MAX_FAILED)

-- The status as a text, and its class.
local function status_of(t)
    local fields = t.fields
    -- A call may be read as gRPC, or as HTTP/2 with the fields of gRPC.
    local name = fields.grpc_status_name or fields.grpc_grpc_status_name
    if t.cancelled then
        return "cancelled", "cancelled"
    elseif name then
        return "grpc " .. name, name == "OK" and "grpc OK" or "grpc error"
    elseif fields.status then
        local status = tostring(fields.status)
        return status, status:match("^(%d)%d%d$") and status:sub(1, 1) .. "xx" or status
    elseif t.response then
        -- Such as the code with which a stream was reset.
        return t.response, "reset"
    end
    return "none", "none"
end

function transaction(t)
    if not IS_HTTP[t.protocol] then
        return
    end
    total = total + 1
    local latency_ms = t.latency_us / 1000
    local server, status, class = tostring(t.server), status_of(t)
    local shown = opt.by == "class" and class or status
    groups.get(server .. " " .. shown, server, shown).latency:record(latency_ms)
    slow.add(total, latency_ms, function()
        return { time = time.stamp(t, opt.json), server = server, status = status, request = t.request }
    end)
    if t.status == "error" then
        local fields = t.fields
        local request = t.request
        if fields.path then
            local method = t.protocol == "grpc" and "" or (fields.method or "?") .. " "
            request = method .. (fields.host or "") .. fields.path
        end
        failed.add(status .. "\0" .. request, 1)
    end
end

local function show_groups()
    local rows = {}
    local function add(group, server, status)
        rows[#rows + 1] = tables.add_percentiles({
            server = server, status = status, count = group.latency:count(),
            share = group.latency:count() / total * 100,
        }, group.latency)
    end
    for _, group in pairs(groups.all) do
        add(group, group.server, group.status)
    end
    table.sort(rows, function(a, b)
        if a.server ~= b.server then
            return a.server < b.server
        end
        return a.status < b.status
    end)
    if groups.other then
        add(groups.other, "(other)", "(other)")
    end
    tables.show(opt.json, "status", ("Responses by server and %s (%d in all):"):format(opt.by, total), tables.join({
        { "server", "SERVER" },
        { "status", "STATUS" },
        { "count", "COUNT", "%d" },
        { "share", "SHARE", "%.1f%%" },
    }, tables.percentiles), rows)
end

local function show_slow()
    local rows = {}
    for _, it in ipairs(slow.list(opt.top)) do
        local entry = it.entry
        rows[#rows + 1] = {
            latency_ms = entry.weight, time = entry.time, server = entry.server,
            status = entry.status, request = entry.request,
        }
    end
    tables.show(opt.json, "slow", "Slowest requests:", {
        { "latency_ms", "LATENCY ms", "%.3f" },
        { "time", "TIME" },
        { "server", "SERVER" },
        { "status", "STATUS" },
        { "request", "REQUEST" },
    }, rows)
end

local function show_failed()
    local rows = {}
    for _, it in ipairs(failed.list(opt.top)) do
        local status, request = it.key:match("^(.-)%z(.*)$")
        rows[#rows + 1] = {
            count = it.entry.weight, status = status, request = request,
        }
    end
    local title = "Failed requests"
    if failed.missing > 0 then
        title = title .. (", each count up to %d too low"):format(failed.missing)
    end
    if opt.json or #rows > 0 then
        tables.show(opt.json, "failed", title .. ":", {
            { "count", "COUNT", "%d" },
            { "status", "STATUS" },
            { "request", "REQUEST" },
        }, rows)
    end
end

function finish()
    if total == 0 then
        return
    end
    show_groups()
    show_slow()
    show_failed()
end
