-- TCP connections on which packets had to be sent again.
--
--     tcpkit -i eth0 -S scripts/retransmits.lua
--     tcpkit -r capture.pcap -S scripts/retransmits.lua -- top=50
--
-- Options behind `--`:
--     top=N      so many connections (20; 1000 at most)
--     every=S    a table every S seconds, of connections that ended since; otherwise one at the end
--     json=1     lines of JSON instead of text
--
-- A line for each connection, those with the most retransmits first, then a line on all of them:
--
--     CLIENT          SERVER         CLIENT AGAIN  CLIENT %  SERVER AGAIN  SERVER %  SYN  SYN-ACK  SECONDS  END
--     10.9.0.1:44406  10.9.0.2:8001             0       0.0             5      11.1    0        0    0.086  fin
--
-- AGAIN are packets all of whose payload had been sent before, % is their part of all bytes of that side (a captured
-- packet may be many segments: the kernel cuts and merges them elsewhere); SYN and SYN-ACK are those that were
-- sent again. What got lost before it reached the place of the capture and was
-- seen there once is no retransmit here. A connection is counted when it ends, and those that are open at the
-- end of the capture then: of a long one nothing is shown while it lasts.
local options = require "lib.options"
local tables = require "lib.table"
local top = require "lib.top"

local MAX_CONNECTIONS = 1000

local opt, report, worst, all

local function reset()
    worst = top.largest(MAX_CONNECTIONS)
    all = {
        connections = 0, affected = 0, client = 0, client_again_bytes = 0, client_bytes = 0, server = 0,
        server_again_bytes = 0, server_bytes = 0, syn = 0, synack = 0,
    }
end

function init(given)
    opt = options.read(given, { top = 20, every = 0, json = false })
    tick = tables.every(opt.every, report, reset)
    reset()
end

local function percent(part, whole)
    return whole > 0 and part / whole * 100 or 0
end

function connection(c)
    if c.event ~= "close" then
        return
    end
    all.connections = all.connections + 1
    for _, side in ipairs { "client", "server" } do
        all[side] = all[side] + c[side .. "_retransmits"]
        all[side .. "_again_bytes"] = all[side .. "_again_bytes"] + c[side .. "_retransmit_bytes"]
        all[side .. "_bytes"] = all[side .. "_bytes"] + c[side .. "_bytes"]
    end
    all.syn, all.synack = all.syn + c.syn_retransmits, all.synack + c.synack_retransmits
    local count = c.client_retransmits + c.server_retransmits + c.syn_retransmits + c.synack_retransmits
    if count == 0 then
        return
    end
    all.affected = all.affected + 1
    worst.add(c.id, count, function()
        return {
            client = tostring(c.client), server = tostring(c.server),
            client_again = c.client_retransmits, client_percent = percent(c.client_retransmit_bytes, c.client_bytes),
            server_again = c.server_retransmits, server_percent = percent(c.server_retransmit_bytes, c.server_bytes),
            syn = c.syn_retransmits, synack = c.synack_retransmits,
            seconds = c.duration_us / 1e6, reason = c.reason,
        }
    end)
end

function report()
    local rows = {}
    for _, it in ipairs(worst.list(opt.top)) do
        it.entry.weight = nil
        rows[#rows + 1] = it.entry
    end
    if opt.json or #rows > 0 then
        tables.show(opt.json, "connection", ("Connections with retransmits (%d of %d):"):format(#rows, all.affected), {
            { "client", "CLIENT" },
            { "server", "SERVER" },
            { "client_again", "CLIENT AGAIN", "%d" },
            { "client_percent", "CLIENT %", "%.1f" },
            { "server_again", "SERVER AGAIN", "%d" },
            { "server_percent", "SERVER %", "%.1f" },
            { "syn", "SYN", "%d" },
            { "synack", "SYN-ACK", "%d" },
            { "seconds", "SECONDS", "%.3f" },
            { "reason", "END" },
        }, rows)
    end
    if opt.json then
        all.kind, all["until"] = "all", tables.now
        tables.emit(all)
        return
    end
    local text = "All: %d connections, %d with retransmits; client %d packets (%.2f %% of its bytes), "
        .. "server %d (%.2f %%), %d SYN, %d SYN-ACK"
    print(tables.title(text):format(all.connections, all.affected, all.client,
        percent(all.client_again_bytes, all.client_bytes), all.server,
        percent(all.server_again_bytes, all.server_bytes), all.syn, all.synack))
end

finish = report
