-- TCP connections: how long connecting took, and which attempts failed.
--
--     tcpkit -i eth0 -S scripts/tcp-connect.lua
--     tcpkit -r capture.pcap -S scripts/tcp-connect.lua -- slow=100
--
-- Options behind `--`:
--     slow=MS    print only connections that took at least as long, that had to send a SYN again, or that failed
--     json=1     lines of JSON instead of text
--
-- A line for each connection that was established or failed, with the time of its first SYN:
--
--     2026-11-26 15:01:12.923362 10.9.0.1:44528 => 10.9.0.2:8001 | 0.005 ms | established | handshake 0.009 ms
--     2026-11-26 15:01:12.925541 10.9.0.1:52336 => 10.9.0.2:8003 | 1029.255 ms | established | handshake 1029.274 ms | 1 SYN again
--     2026-11-26 15:01:12.923650 10.9.0.1:49778 => 10.9.0.2:8002 | 0.005 ms | refused
--     2026-11-26 15:01:16.771043 10.9.0.1:60736 => 10.9.0.3:8001 | 81228.956 ms | unanswered | 5 SYNs again
--
-- The time is from the first SYN to the server's answer: what connect() takes where the client is, as seen at
-- the place of the capture (close to the server the way from the client is missing from it). Of an attempt that
-- failed it is how long it went on until that was known; one without an answer is known 70 s after its last
-- SYN, or at the end of the capture. The handshake lasts until the client has acknowledged. At the end there is a table of
-- all connections, by server. Connections that were there before the capture are not in it.
local options = require "lib.options"
local tables = require "lib.table"
local time = require "lib.time"
local top = require "lib.top"

-- Servers told apart in the table; a histogram of each takes 10 KB.
local MAX_SERVERS = 1000

local opt

function init(given)
    opt = options.read(given, { slow = 0, json = false })
end

local servers = top.groups(MAX_SERVERS, function(name)
    return {
        server = name, established = 0, refused = 0, unanswered = 0, reset = 0, other = 0,
        syns = 0, syn_acks = 0, connect = tcpkit.histogram(),
    }
end)

-- How an attempt that was not established ended, as a word and the name of its count.
local function failure(c)
    if c.reason == "refused" then
        return "refused", "refused"
    elseif c.connect_us == nil and c.server_packets == 0 then
        return c.reason == "unanswered" and "unanswered" or "unanswered so far", "unanswered"
    elseif c.reason == "reset" then
        return "reset before it was established", "reset"
    end
    return "never established (" .. c.reason .. ")", "other"
end

local function again(count, what)
    if count == 0 then
        return ""
    end
    return (" | %d %s%s again"):format(count, what, count == 1 and "" or "s")
end

local function report(c, outcome, took_us)
    if opt.json then
        tables.emit {
            kind = "connection", time = time.stamp(c, true, c.duration_us), client = tostring(c.client),
            server = tostring(c.server), outcome = outcome, took_us = took_us, handshake_us = c.handshake_us,
            syn_retransmits = c.syn_retransmits, synack_retransmits = c.synack_retransmits,
        }
        return
    end
    print(("%s %s => %s | %s | %s%s%s%s"):format(
        time.stamp(c, false, c.duration_us), tostring(c.client), tostring(c.server), time.ms(took_us), outcome,
        c.handshake_us and " | handshake " .. time.ms(c.handshake_us) or "",
        again(c.syn_retransmits, "SYN"), again(c.synack_retransmits, "SYN-ACK")))
end

function connection(c)
    if c.midstream or c.event == "open" then
        return
    end
    if c.event == "established" then
        local server = servers.get(tostring(c.server), tostring(c.server))
        server.established = server.established + 1
        server.syns = server.syns + c.syn_retransmits
        server.syn_acks = server.syn_acks + c.synack_retransmits
        if c.connect_us then
            server.connect:record(c.connect_us / 1000)
        end
        local was_slow = (c.connect_us or c.handshake_us) >= opt.slow * 1000
        if was_slow or c.syn_retransmits > 0 or c.synack_retransmits > 0 then
            report(c, "established", c.connect_us)
        end
    elseif c.handshake_us == nil then
        local server = servers.get(tostring(c.server), tostring(c.server))
        local outcome, count = failure(c)
        server[count] = server[count] + 1
        server.syns = server.syns + c.syn_retransmits
        server.syn_acks = server.syn_acks + c.synack_retransmits
        report(c, outcome, c.duration_us)
    end
end

function finish()
    local rows = {}
    local function add(server, name)
        local row = tables.add_percentiles({
            server = name, established = server.established,
            failed = server.refused + server.unanswered + server.reset + server.other,
            refused = server.refused, unanswered = server.unanswered, reset = server.reset,
            syn_retransmits = server.syns, synack_retransmits = server.syn_acks,
        }, server.connect)
        rows[#rows + 1] = row
    end
    for name, server in pairs(servers.all) do
        add(server, name)
    end
    table.sort(rows, function(a, b)
        local all_a, all_b = a.established + a.failed, b.established + b.failed
        if all_a ~= all_b then
            return all_a > all_b
        end
        return a.server < b.server
    end)
    if servers.other then
        add(servers.other, "(other)")
    end
    if not opt.json then
        print()
    end
    tables.show(opt.json, "server", "Connections by server; times until the server's answer:", tables.join({
        { "server", "SERVER" },
        { "established", "ESTABLISHED", "%d" },
        { "failed", "FAILED", "%d" },
        { "refused", "REFUSED", "%d" },
        { "unanswered", "UNANSWERED", "%d" },
        { "reset", "RESET", "%d" },
        { "syn_retransmits", "SYN AGAIN", "%d" },
        { "synack_retransmits", "SYN-ACK AGAIN", "%d" },
    }, tables.percentiles), rows)
end
