-- Checks what the shipped scripts share: which keys are heaviest, timers, names, and what a table looks like.
local dns = require "lib.dns"
local dns_stream = require "lib.dns_stream"
local options = require "lib.options"
local tables = require "lib.table"
local time = require "lib.time"
local top = require "lib.top"

local function equal(is, should)
    if is ~= should then
        error(("%s instead of %s"):format(tostring(is), tostring(should)), 2)
    end
end

-- Few keys are counted exactly.
local function sums_are_exact_for_few()
    local sums = top.sums(10)
    for at = 1, 10 do
        for _ = 1, at do
            sums.add("key" .. at, 2)
        end
    end
    equal(sums.missing, 0)
    local list = sums.list(3)
    equal(#list, 3)
    equal(list[1].key, "key10")
    equal(list[1].entry.weight, 20)
    equal(list[3].entry.weight, 16)
end

-- Of many keys no sum is too high, none is lower than said, and none heavier than that is missing.
local function sums_keep_their_bound()
    local sums, real, state = top.sums(50), {}, 1
    for _ = 1, 20000 do
        state = (state * 16807) % 2147483647
        -- Some keys come far more often than others.
        local key = math.floor(1 / (state / 2147483647 + 0.0005))
        local weight = state % 7 + 1
        real[key] = (real[key] or 0) + weight
        sums.add(key, weight)
    end
    local kept, count = {}, 0
    for _, it in ipairs(sums.list(1000)) do
        kept[it.key] = it.entry.weight
        count = count + 1
        assert(it.entry.weight <= real[it.key] and it.entry.weight + sums.missing >= real[it.key])
    end
    assert(count <= 50 and sums.missing > 0)
    -- The usual bound: what is missing at most, by what was added and how many half of the counters are.
    assert(sums.missing <= sums.total / 25)
    for key, weight in pairs(real) do
        assert(kept[key] or weight <= sums.missing, key)
    end
end

local function largest_are_exact()
    local largest, real, state = top.largest(20), {}, 1
    local made = 0
    for _ = 1, 5000 do
        state = (state * 16807) % 2147483647
        local key, weight = state % 400, state % 10007 + 1
        real[key] = math.max(real[key] or 0, weight)
        largest.add(key, weight, function()
            made = made + 1
            return { of = key }
        end)
    end
    local all = {}
    for key, weight in pairs(real) do
        all[#all + 1] = { key = key, weight = weight }
    end
    table.sort(all, function(a, b)
        if a.weight ~= b.weight then
            return a.weight > b.weight
        end
        return a.key < b.key
    end)
    local list = largest.list(100)
    equal(#list, 20)
    for at, it in ipairs(list) do
        equal(it.entry.weight, all[at].weight)
        equal(it.entry.of, it.key)
    end
    assert(made < 5000)
end

local function groups_are_bounded()
    local groups = top.groups(2, function() return { count = 0 } end)
    for _, key in ipairs { "a", "b", "c", "a", "d" } do
        local group = groups.get(key)
        group.count = group.count + 1
    end
    equal(groups.all.a.count, 2)
    equal(groups.all.b.count, 1)
    equal(groups.all.c, nil)
    equal(groups.other.count, 2)
end

local function timers_skip_what_is_over()
    local is_due = options.timer(10)
    local due = {}
    for _, now in ipairs { 100, 105, 110, 111, 119, 120, 155, 156, 160 } do
        if is_due(now) then
            due[#due + 1] = now
        end
    end
    equal(table.concat(due, " "), "110 120 155 160")
    equal(options.timer(0)(1e9), false)
end

local function times_are_whole()
    equal(time.stamp({ tv_sec = 1800000000, tv_nsec = 5123 }), "2027-01-15 08:00:00.000005")
    equal(time.stamp({ tv_sec = 1800000000, tv_nsec = 5123 }, false, 6.123), "2027-01-15 07:59:59.999999")
    equal(time.stamp({ tv_sec = 1800000000, tv_nsec = 0 }, false, 61e6), "2027-01-15 07:58:59.000000")
    equal(time.stamp({ tv_sec = 1800000000, tv_nsec = 5123 }, true, 6.123), "2027-01-15T07:59:59.999999000Z")
    equal(time.ms(1234.5678), "1.235 ms")
    equal(time.ms(nil), "-")
end

local function question(name)
    return "\0\7\1\0\0\1\0\0\0\0\0\0" .. name .. "\0\1\0\1"
end

-- What a direction's segments give, each { sequence number, payload, how much of its end was not captured }.
local function messages_of(segments)
    local streams, found, complete = dns_stream.new(), {}, true
    for _, it in ipairs(segments) do
        local packet = {
            seq = it[1], payload = it[2]:sub(1, #it[2] - (it[3] or 0)), size = #it[2], flags = it.flags or 16,
        }
        complete = streams.push("key", packet, false, function(message) found[#found + 1] = message end) and complete
    end
    return found, complete
end

local function streams_are_put_in_order()
    local one, two = question("\1a\0"), question("\3two\0")
    local function framed(message)
        return ("\0%c"):format(#message) .. message
    end
    local all = framed(one) .. framed(two) .. framed(one)
    local function check(segments, should, should_be_complete)
        local found, complete = messages_of(segments)
        equal(table.concat(found, "|"), should)
        equal(complete, should_be_complete)
    end
    local expected = table.concat({ one, two, one }, "|")
    -- Sequence numbers wrap; every split; and what was sent comes once more.
    local first = 2 ^ 32 - 20
    local syn = { first - 1, "", flags = 2 }
    for at = 1, #all - 1 do
        local head, rest = { first, all:sub(1, at) }, { (first + at) % 2 ^ 32, all:sub(at + 1) }
        check({ syn, head, rest }, expected, true)
        check({ syn, head, head, rest, head, rest }, expected, true)
        check({ syn, head, { first, all } }, expected, true)
        local more = { (first + #all) % 2 ^ 32, framed(two) }
        check({ syn, head, rest, head, more }, expected .. "|" .. two, true)
    end
    -- Nobody saw the SYN.
    check({ { 7, all } }, expected, true)
    -- Something is missing; reading begins again where a message does.
    check({ syn, { first + 2, all:sub(3) } }, "", false)
    check({ syn, { first, framed(one) }, { first + 500, framed(two) } }, one .. "|" .. two, false)
    -- The end of a segment was not captured.
    check({ syn, { first, framed(one), 4 }, { first + 2 + #one - 2 ^ 32, framed(two) } },
        one:sub(1, #one - 4) .. "|" .. two, true)
    check({ syn, { first, framed(one) .. framed(two), #two + 1 } }, one, false)
    -- No message is that short.
    check({ syn, { first, "\0\1x" } }, "", false)
end

local function names_are_shown_as_zone_files_do()
    for name, shown in pairs {
        ["\0"] = ".",
        ["\3www\7example\0"] = "www.example",
        ["\4a.b\\\1c\0"] = "a\\.b\\\\.c",
        ["\5\27[2J \0"] = "\\027[2J\\032",
        ["\4_tcp\2\195\188\0"] = "_tcp.\\195\\188",
    } do
        equal(dns.read(question(name)).name, shown)
    end
    local longest = ("\63" .. ("a"):rep(63)):rep(3) .. "\61" .. ("a"):rep(61) .. "\0"
    equal(#longest, 255)
    assert(dns.read(question(longest)).name)
    equal(dns.read(question(("\63" .. ("a"):rep(63)):rep(3) .. "\62" .. ("a"):rep(62) .. "\0")), nil)
end

local function addresses_are_short()
    for data, shown in pairs {
        [("\0"):rep(16)] = "::",
        [("\0"):rep(15) .. "\1"] = "::1",
        ["\254\128" .. ("\0"):rep(14)] = "fe80::",
        ["\32\1\13\184\0\0\0\0\0\1\0\0\0\0\0\0"] = "2001:db8:0:0:1::",
        ["\32\1\13\184\0\0\0\0\0\1\0\0\0\0\0\1"] = "2001:db8::1:0:0:1",
        ["\32\1\13\184\0\0\0\1\0\1\0\1\0\1\0\1"] = "2001:db8:0:1:1:1:1:1",
    } do
        local message = "\0\7\129\128\0\1\0\1\0\0\0\0\0\0\28\0\1" .. "\0\0\28\0\1\0\0\0\0\0\16" .. data
        equal(dns.read(message).addresses[1], shown)
    end
end

-- Columns are as wide as what is in them, in characters; what is missing is a dash.
local function tables_are_aligned()
    local lines, real_print = {}, print
    print = function(line) lines[#lines + 1] = line or "" end
    tables.show(false, "kind", "Title:", {
        { "name", "NAME" }, { "count", "COUNT", "%d" }, { "last", "LAST" },
    }, { { name = "long-name", count = 1, last = "x" }, { name = "\195\188", count = 123456 } })
    print = real_print
    equal(table.concat(lines, "\n"), table.concat({
        "Title:",
        "NAME        COUNT  LAST",
        "long-name       1  x",
        "\195\188          123456  -",
        "",
    }, "\n"))
end

function finish()
    sums_are_exact_for_few()
    sums_keep_their_bound()
    largest_are_exact()
    groups_are_bounded()
    timers_skip_what_is_over()
    times_are_whole()
    streams_are_put_in_order()
    names_are_shown_as_zone_files_do()
    addresses_are_short()
    tables_are_aligned()
    print("all checks passed")
end
