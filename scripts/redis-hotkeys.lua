-- The keys that are asked for most often, and those that move the most bytes.
--
--     tcpkit -i eth0 -p redis -S scripts/redis-hotkeys.lua
--     tcpkit -r capture.pcap -p redis -S scripts/redis-hotkeys.lua -- top=10
--
-- Options behind `--`:
--     top=N        so many keys (20)
--     every=S      a table every S seconds, of that time only; otherwise one at the end
--     json=1       lines of JSON instead of text
--
-- Two tables, one by requests and one by bytes (of requests and responses together, as they are on the wire):
--
--     REQUESTS  SHARE  KEY
--           61  42.4%  user:7
--
-- Of a command with several keys (MGET, DEL a b) only the first is seen, and all its bytes count for it. Keys
-- are as long as the agent shows them (--max-text): longer ones that begin alike are one. Requests without a
-- key are in the total only.
--
-- Memory is bounded: up to 10,000 different keys everything is exact. Beyond that keys that weigh little are
-- forgotten, and the line above a table says by how much its numbers may be too low.
local options = require "lib.options"
local tables = require "lib.table"
local top = require "lib.top"

-- Keys that are counted at a time.
local MAX_KEYS = 10000

local opt, report
local requests, bytes, total_requests, total_bytes

local function reset()
    requests, bytes = top.sums(MAX_KEYS), top.sums(MAX_KEYS)
    total_requests, total_bytes = 0, 0
end

function init(given)
    opt = options.read(given, { top = 20, every = 0, json = false })
    tick = tables.every(opt.every, report, reset)
    reset()
end

function transaction(t)
    if t.protocol ~= "redis" then
        return
    end
    local size = t.request_bytes + t.response_bytes
    total_requests, total_bytes = total_requests + 1, total_bytes + size
    local key = t.fields.key
    if key then
        requests.add(key, 1)
        bytes.add(key, size)
    end
end

local function show(name, header, sums, total)
    local rows = {}
    for _, it in ipairs(sums.list(opt.top)) do
        rows[#rows + 1] = {
            key = it.key, [name] = it.entry.weight,
            share = it.entry.weight / total * 100, at_most = it.entry.weight + sums.missing,
        }
    end
    local title = ("Keys by %s (%d in all)"):format(name, total)
    if sums.missing > 0 then
        title = title .. (", each up to %d too low"):format(sums.missing)
    end
    tables.show(opt.json, "keys_by_" .. name, title .. ":", {
        { name, header, "%d" },
        { "share", "SHARE", "%.1f%%" },
        { "key", "KEY" },
    }, rows)
end

function report()
    if total_requests == 0 then
        return
    end
    show("requests", "REQUESTS", requests, total_requests)
    show("bytes", "BYTES", bytes, total_bytes)
end

finish = report
