-- The keys with the largest values, as they pass by: what was written, and what was read.
--
--     tcpkit -i eth0 -p redis -S scripts/redis-bigkeys.lua
--     tcpkit -r capture.pcap -p redis -S scripts/redis-bigkeys.lua -- min=10000
--
-- Options behind `--`:
--     min=BYTES    only what has at least so many bytes (1024)
--     top=N        so many keys of each kind (20; 10,000 at most)
--     json=1       lines of JSON instead of text
--
-- Two tables at the end, of the largest requests and of the largest responses. A key is in each of them once,
-- with the largest that was seen of it, the command and when:
--
--     BYTES  COMMAND  TIME                        CLIENT          KEY
--     12035  SET      2026-11-26 14:57:52.659533  10.9.0.1:44988  blob:a
--
-- Bytes are those of the whole request or response on the wire: of a command with several keys or values
-- (MSET, MGET, RPUSH) all together, under its first key. A list that grows by small elements shows when it is
-- read. Nothing is asked of the server. Memory is bounded; the order is exact all the same.
local options = require "lib.options"
local tables = require "lib.table"
local time = require "lib.time"
local top = require "lib.top"

-- Keys that are kept of each kind; beyond twice as many the smaller half is forgotten.
local MAX_KEYS = 10000

local opt

function init(given)
    opt = options.read(given, { min = 1024, top = 20, json = false })
end

local written, read = top.largest(MAX_KEYS), top.largest(MAX_KEYS)

function transaction(t)
    local is_big = t.request_bytes >= opt.min or t.response_bytes >= opt.min
    if not is_big or t.protocol ~= "redis" or not t.fields.key then
        return
    end
    local function make()
        return { command = t.operation, time = time.stamp(t, opt.json), client = tostring(t.client) }
    end
    if t.request_bytes >= opt.min then
        written.add(t.fields.key, t.request_bytes, make)
    end
    if t.response_bytes >= opt.min then
        read.add(t.fields.key, t.response_bytes, make)
    end
end

local function show(kind, title, largest)
    local rows = {}
    for _, it in ipairs(largest.list(opt.top)) do
        local entry = it.entry
        rows[#rows + 1] = {
            bytes = entry.weight, command = entry.command, time = entry.time, client = entry.client,
            key = it.key,
        }
    end
    tables.show(opt.json, kind, title, {
        { "bytes", "BYTES", "%d" },
        { "command", "COMMAND" },
        { "time", "TIME" },
        { "client", "CLIENT" },
        { "key", "KEY" },
    }, rows)
end

function finish()
    show("largest_requests", "Largest requests by key (written):", written)
    show("largest_responses", "Largest responses by key (read):", read)
end
