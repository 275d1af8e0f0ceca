-- DNS queries and how long their answers took, over UDP and TCP.
--
--     tcpkit -i eth0 -S scripts/dns.lua 'port 53'
--     tcpkit -r capture.pcap -S scripts/dns.lua -- slow=50
--
-- Options behind `--`:
--     slow=MS      print only queries that took as long, and those that nobody answered
--     timeout=S    a query counts as not answered after so many seconds (5)
--     port=N       the servers' port (53)
--     json=1       lines of JSON instead of text
--
-- A line for each query: when it was sent, by whom, to whom, how long the answer took, the question, the
-- response code, how many answers there are, and the first addresses among them:
--
--     2026-11-26 14:58:55.164060 10.9.0.1:58539 => 10.9.0.2:53 | 92.303 ms | www.example.com A | NOERROR 2: 192.0.2.2 192.0.2.1
--     2026-11-26 14:58:55.384697 10.9.0.1:46628 => 10.9.0.2:53 | 207.523 ms | delay-200.slow.test A | NOERROR 1: 192.0.2.77 | asked 2 times
--     2026-11-26 14:58:55.893108 10.9.0.1:60050 => 10.9.0.2:53 | no answer in 6.107 s | www.nobody.test A | asked 2 times
--
-- `truncated` says that a server asks to be asked again over TCP. A query that is sent again with the same
-- number is one query, timed from the first time (over TCP from its last byte), and waits for `timeout` from
-- the last. At the end there is a table of all queries, by server. A query whose answer may have been missed by
-- the capture (bytes are missing on its TCP connection) is counted as lost. Multicast DNS and encrypted DNS are
-- not read.
local dns = require "lib.dns"
local dns_stream = require "lib.dns_stream"
local options = require "lib.options"
local tables = require "lib.table"
local time = require "lib.time"
local top = require "lib.top"

-- Queries that may wait for their answers at a time; the oldest makes room.
local MAX_WAITING = 10000
-- Servers told apart in the table; a histogram of each takes 10 KB.
local MAX_SERVERS = 1000

local opt

function init(given)
    opt = options.read(given, { slow = 0, timeout = 5, port = 53, json = false })
end

local servers = top.groups(MAX_SERVERS, function()
    return {
        queries = 0, again = 0, answered = 0, nxdomain = 0, errors = 0, unanswered = 0, open = 0, lost = 0,
        latency = tcpkit.histogram(),
    }
end)

-- What was read and belongs to no query: messages that make no sense, answers that nobody waits for (of
-- queries that were not captured, that gave up, or that were answered twice), queries that made room.
local not_read, orphans, forgotten = 0, 0, 0
-- The time of the last packet, in seconds.
local last_seconds = 0

-- Queries that wait: by the ends of their conversation, their number and their question; and as a list in the
-- order in which they were sent last.
local talks, waiting = {}, 0
local oldest, newest

local function seconds_of(it)
    return it.tv_sec + it.tv_nsec / 1e9
end

local function append(query)
    query.before, query.behind = newest, nil
    if newest then
        newest.behind = query
    else
        oldest = query
    end
    newest = query
end

local function unlink(query)
    local before, behind = query.before, query.behind
    if before then before.behind = behind else oldest = behind end
    if behind then behind.before = before else newest = before end
end

local function remove(query)
    unlink(query)
    waiting = waiting - 1
    local talk = query.talk
    local numbered = talk.queries[query.id]
    numbered[query.question] = nil
    if next(numbered) == nil then
        talk.queries[query.id] = nil
        if next(talk.queries) == nil then
            talks[talk.key] = nil
        end
    end
end

local function report(query, result)
    if opt.json then
        result.kind, result.time, result.client, result.server = "query", query.time, query.client, query.server
        result.proto, result.name, result.type, result.opcode = query.proto, query.name, query.type, query.opcode
        result.asked = query.asked
        result.text = nil
        tables.emit(result)
        return
    end
    print(("%s %s => %s | %s | %s%s %s%s%s%s"):format(
        query.time, query.client, query.server, result.text.took, query.opcode and query.opcode .. " " or "",
        query.name, query.type, result.text.outcome or "",
        query.proto == "tcp" and " | tcp" or "",
        query.asked > 1 and (" | asked %d times"):format(query.asked) or ""))
end

-- A query that got no answer until `now`.
local function give_up(query, now)
    local server = servers.get(query.server)
    remove(query)
    if query.talk.losses ~= query.losses then
        server.lost = server.lost + 1
        return
    end
    local waited = now - query.first
    local is_over = now - query.last >= opt.timeout
    local counted = is_over and "unanswered" or "open"
    server[counted] = server[counted] + 1
    report(query, {
        waited_ms = waited * 1000,
        code = is_over and "no answer" or "no answer so far",
        text = { took = ("no answer %s %.3f s"):format(is_over and "in" or "for", waited) },
    })
end

local function on_query(it, talk_key, packet, client, server)
    local now = seconds_of(packet)
    local talk = talks[talk_key]
    local numbered = talk and talk.queries[it.id]
    local query = numbered and numbered[it.question]
    local counts = servers.get(server)
    if query then
        query.asked, query.last = query.asked + 1, now
        counts.again = counts.again + 1
        unlink(query)
        append(query)
        return
    end
    if waiting >= MAX_WAITING then
        forgotten = forgotten + 1
        remove(oldest)
    end
    -- Making room may have ended the conversation's last query.
    talk = talks[talk_key]
    if not talk then
        talk = { key = talk_key, losses = 0, queries = {} }
        talks[talk_key] = talk
    end
    numbered = talk.queries[it.id] or {}
    talk.queries[it.id] = numbered
    query = {
        talk = talk, id = it.id, question = it.question, name = it.name, type = it.type, opcode = it.opcode,
        client = client, server = server, proto = packet.proto, time = time.stamp(packet, opt.json),
        tv_sec = packet.tv_sec, tv_nsec = packet.tv_nsec, first = now, last = now, asked = 1, losses = talk.losses,
    }
    numbered[it.question] = query
    append(query)
    waiting = waiting + 1
    counts.queries = counts.queries + 1
end

local function outcome_of(it)
    local text = (" | %s %d"):format(it.code, it.answers)
    if #it.addresses > 0 then
        text = text .. ": " .. table.concat(it.addresses, " ")
        if it.has_more then
            text = text .. " ..."
        end
    end
    return it.is_cut and text .. " truncated" or text
end

local function on_response(it, talk_key, packet)
    local talk = talks[talk_key]
    local numbered = talk and talk.queries[it.id]
    local query
    if numbered and it.question then
        query = numbered[it.question]
    elseif numbered then
        -- An error without a question: it can only mean the one that waits, if it is one.
        local _, one = next(numbered)
        query = next(numbered, (next(numbered))) == nil and one or nil
    end
    if not query then
        orphans = orphans + 1
        return
    end
    remove(query)
    local latency_ms = tcpkit.elapsed_ns(query, packet) / 1e6
    local counts = servers.get(query.server)
    counts.answered = counts.answered + 1
    if it.code == "NXDOMAIN" then
        counts.nxdomain = counts.nxdomain + 1
    elseif it.code ~= "NOERROR" then
        counts.errors = counts.errors + 1
    end
    -- A clock that was set back must not be an error.
    counts.latency:record(math.max(latency_ms, 0))
    if latency_ms >= opt.slow then
        report(query, {
            latency_ms = latency_ms, code = it.code, answers = it.answers, truncated = it.is_cut or nil,
            addresses = #it.addresses > 0 and it.addresses or nil,
            text = { took = time.ms(latency_ms * 1000), outcome = outcome_of(it) },
        })
    end
end

local streams = dns_stream.new()

local function end_of(ip, port)
    return (ip:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(ip, port)
end

function process(packet)
    local is_response = packet.sport == opt.port
    if not is_response and packet.dport ~= opt.port then
        return
    end
    last_seconds = math.max(last_seconds, seconds_of(packet))
    local source, target = end_of(packet.sip, packet.sport), end_of(packet.dip, packet.dport)

    local function on_message(message)
        local it = dns.read(message)
        -- From port 53 to port 53 only the message says what it is.
        local is_expected = it and (it.is_response == is_response or packet.sport == packet.dport)
        if not is_expected or not it.is_response and not it.question then
            not_read = not_read + 1
        elseif it.is_response then
            on_response(it, packet.proto .. target .. source, packet)
        else
            on_query(it, packet.proto .. source .. target, packet, source, target)
        end
    end

    if packet.proto == "udp" then
        on_message(packet.payload)
    elseif not streams.push(source .. target, packet, is_response, on_message) then
        -- An answer may be among what is missing.
        local talk = talks[packet.proto .. (is_response and target .. source or source .. target)]
        if talk then
            talk.losses = talk.losses + 1
        end
    end
end

function tick(now)
    while oldest and oldest.last + opt.timeout < now do
        give_up(oldest, now)
    end
end

function finish()
    while oldest do
        give_up(oldest, math.max(last_seconds, oldest.last))
    end
    local rows = {}
    local function add(server, name)
        rows[#rows + 1] = tables.add_percentiles({
            server = name, queries = server.queries, again = server.again, answered = server.answered,
            nxdomain = server.nxdomain, errors = server.errors, unanswered = server.unanswered, open = server.open,
            lost = server.lost,
        }, server.latency)
    end
    for name, server in pairs(servers.all) do
        add(server, name)
    end
    table.sort(rows, function(a, b)
        if a.queries ~= b.queries then
            return a.queries > b.queries
        end
        return a.server < b.server
    end)
    if servers.other then
        add(servers.other, "(other)")
    end
    if not opt.json then
        print()
    end
    tables.show(opt.json, "server", "Queries by server, and times until their answers:", tables.join({
        { "server", "SERVER" },
        { "queries", "QUERIES", "%d" },
        { "again", "ASKED AGAIN", "%d" },
        { "answered", "ANSWERED", "%d" },
        { "nxdomain", "NXDOMAIN", "%d" },
        { "errors", "OTHER ERRORS", "%d" },
        { "unanswered", "NO ANSWER", "%d" },
        { "open", "OPEN", "%d" },
        { "lost", "LOST", "%d" },
    }, tables.percentiles), rows)
    if opt.json then
        tcpkit.emit { kind = "totals", not_understood = not_read, without_query = orphans, made_room = forgotten }
    elseif not_read + orphans + forgotten > 0 then
        print(("%d messages not understood, %d answers without a query, %d queries made room for later ones"):format(
            not_read, orphans, forgotten))
    end
end
