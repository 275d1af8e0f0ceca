-- Messages of DNS (RFC 1035) as tables. Any bytes may come: every read is checked, and what is not there is nil.
local M = {}

local u8, u16 = tcpkit.bytes.u8, tcpkit.bytes.u16

-- Octets of a name on the wire at most (RFC 1035, 2.3.4).
local MAX_NAME = 255
-- Records that are looked at for addresses, and addresses that are kept.
local MAX_RECORDS = 100
local MAX_ADDRESSES = 4

-- https://www.iana.org/assignments/dns-parameters
local TYPES = {
    [1] = "A", [2] = "NS", [5] = "CNAME", [6] = "SOA", [12] = "PTR", [13] = "HINFO", [15] = "MX", [16] = "TXT",
    [28] = "AAAA", [33] = "SRV", [35] = "NAPTR", [39] = "DNAME", [41] = "OPT", [43] = "DS", [44] = "SSHFP",
    [46] = "RRSIG", [47] = "NSEC", [48] = "DNSKEY", [50] = "NSEC3", [52] = "TLSA", [64] = "SVCB", [65] = "HTTPS",
    [99] = "SPF", [251] = "IXFR", [252] = "AXFR", [255] = "ANY", [256] = "URI", [257] = "CAA",
}
local CODES = {
    [0] = "NOERROR", [1] = "FORMERR", [2] = "SERVFAIL", [3] = "NXDOMAIN", [4] = "NOTIMP", [5] = "REFUSED",
    [6] = "YXDOMAIN", [7] = "YXRRSET", [8] = "NXRRSET", [9] = "NOTAUTH", [10] = "NOTZONE",
}
local OPCODES = { [1] = "IQUERY", [2] = "STATUS", [4] = "NOTIFY", [5] = "UPDATE", [6] = "DSO" }

-- As zone files write it (RFC 1035, 5.1): so a label cannot look like several, nor reach a terminal.
local ESCAPES = {}
for byte = 0, 255 do
    local c = string.char(byte)
    if c:find('[."();@$\\]') then
        ESCAPES[c] = "\\" .. c
    elseif not c:find("[!-~]") then
        ESCAPES[c] = ("\\%03d"):format(byte)
    end
end

local function shown(label)
    return (label:gsub("[^%w_-]", ESCAPES))
end

-- The name that begins at `at`, and where what follows it begins; nil where it is not whole, or is none.
-- A pointer (RFC 1035, 4.1.4) must lead to before the labels that it ends, so there is no loop.
function M.name(message, at)
    local labels, octets, behind = {}, 1, nil
    local begin = at
    while true do
        local len = u8(message, at)
        if len == nil then
            return nil
        elseif len == 0 then
            local name = #labels == 0 and "." or table.concat(labels, ".")
            return name, behind or at + 1
        elseif len >= 0xc0 then
            local pointer = u16(message, at)
            local target = pointer and pointer - 0xc000 + 1
            if target == nil or target >= begin then
                return nil
            end
            behind = behind or at + 2
            begin, at = target, target
        elseif len >= 0x40 then
            return nil -- reserved
        else
            local label = message:sub(at + 1, at + len)
            octets = octets + 1 + len
            if #label < len or octets > MAX_NAME then
                return nil
            end
            labels[#labels + 1] = shown(label)
            at = at + 1 + len
        end
    end
end

local function ipv4(data)
    return ("%d.%d.%d.%d"):format(data:byte(1, 4))
end

-- RFC 5952: the longest run of two or more zeros is left out, the first of several.
local function ipv6(data)
    local groups = {}
    for at = 1, 15, 2 do
        groups[#groups + 1] = u16(data, at)
    end
    local best, best_len, from = nil, 1, nil
    for at = 1, 9 do
        if groups[at] == 0 then
            from = from or at
        elseif from then
            if at - from > best_len then
                best, best_len = from, at - from
            end
            from = nil
        end
    end
    local texts = {}
    for at, group in ipairs(groups) do
        texts[at] = ("%x"):format(group)
    end
    if not best then
        return table.concat(texts, ":")
    end
    return table.concat(texts, ":", 1, best - 1) .. "::" .. table.concat(texts, ":", best + best_len, 8)
end

-- The first addresses in the answers that begin at `at`, and whether there are more.
local function addresses(message, at, count)
    local found = {}
    for _ = 1, math.min(count, MAX_RECORDS) do
        local _, fixed = M.name(message, at)
        local len = fixed and u16(message, fixed + 8)
        if len == nil then
            break
        end
        local data = message:sub(fixed + 10, fixed + 9 + len)
        local kind = u16(message, fixed)
        local address = kind == 1 and len == 4 and #data == 4 and ipv4(data)
            or kind == 28 and len == 16 and #data == 16 and ipv6(data)
        if address and #found == MAX_ADDRESSES then
            return found, true
        elseif address then
            found[#found + 1] = address
        end
        at = fixed + 10 + len
    end
    return found, false
end

-- Reads a message; nil if it is none: too short for its header, or its question cannot be read. A message may
-- be without a question, as some errors are.
function M.read(message)
    local flags, questions, answers = u16(message, 3), u16(message, 5), u16(message, 7)
    if #message < 12 then
        return nil
    end
    local opcode = math.floor(flags / 0x800) % 16
    local it = {
        id = u16(message, 1),
        is_response = flags >= 0x8000,
        is_cut = math.floor(flags / 0x200) % 2 == 1,
        opcode = opcode ~= 0 and (OPCODES[opcode] or "OPCODE" .. opcode) or nil,
        code = CODES[flags % 16] or "RCODE" .. flags % 16,
        answers = answers,
        addresses = {},
    }
    if questions == 0 then
        return it
    end
    local name, at = M.name(message, 13)
    local kind, class = at and u16(message, at), at and u16(message, at + 2)
    if questions > 1 or class == nil then
        return nil
    end
    it.name = name
    it.type = TYPES[kind] or "TYPE" .. kind
    -- What a response repeats; servers need not keep the case of letters.
    it.question = ("%s %d %d"):format(name:lower(), kind, class)
    if it.is_response then
        it.addresses, it.has_more = addresses(message, at + 4, answers)
    end
    return it
end

return M
