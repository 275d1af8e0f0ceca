-- The largest of any number of things, in bounded memory.
local M = {}

local function sorted(values, less)
    local list = {}
    for key, entry in pairs(values) do
        list[#list + 1] = { key = key, entry = entry }
    end
    table.sort(list, less)
    return list
end

local function by_weight(a, b)
    if a.entry.weight ~= b.entry.weight then
        return a.entry.weight > b.entry.weight
    end
    return a.key < b.key
end

local function first(list, count)
    for at = #list, count + 1, -1 do
        list[at] = nil
    end
    return list
end

-- Sums of weights by key (Misra and Gries, "Finding repeated elements", 1982; with weights, and many
-- counters made free at a time, as Anderson et al., "A high-performance algorithm for identifying frequent
-- items in data streams", 2017). Exact until `capacity` keys were seen; then keys that weigh little are
-- forgotten, and sums are up to `missing` too low: every key that weighs more is still there.
function M.sums(capacity)
    local self = { total = 0, missing = 0 }
    local entries, count = {}, 0

    local function make_room()
        -- Take from all what the middle one has; half of them are gone then.
        local list = sorted(entries, by_weight)
        local taken = list[math.floor(#list / 2) + 1].entry.weight
        self.missing = self.missing + taken
        for _, it in ipairs(list) do
            it.entry.weight = it.entry.weight - taken
            if it.entry.weight <= 0 then
                entries[it.key] = nil
                count = count - 1
            end
        end
    end

    function self.add(key, weight)
        self.total = self.total + weight
        local entry = entries[key]
        if entry then
            entry.weight = entry.weight + weight
            return
        end
        if count >= capacity then
            make_room()
        end
        entries[key] = { weight = weight }
        count = count + 1
    end

    -- The `wanted` heaviest: a list of { key, entry = { weight } }.
    function self.list(wanted)
        return first(sorted(entries, by_weight), wanted)
    end

    return self
end

-- The largest weight of each key, with what else is to be kept of it. Which keys are the largest is exact as
-- long as no more than `capacity` of them are asked for: one that was forgotten was smaller.
function M.largest(capacity)
    local self = {}
    local entries, count, least = {}, 0, 0

    function self.add(key, weight, make)
        local entry = entries[key]
        -- So many are larger that this one will not be asked for.
        if (entry and entry.weight or least) >= weight then
            return
        end
        if not entry then
            count = count + 1
        end
        entry = make()
        entry.weight = weight
        entries[key] = entry
        if count >= 2 * capacity then
            local list = first(sorted(entries, by_weight), capacity)
            entries, count, least = {}, #list, list[#list].entry.weight
            for _, it in ipairs(list) do
                entries[it.key] = it.entry
            end
        end
    end

    -- The `wanted` largest: a list of { key, entry = what `make` gave, with its weight }.
    function self.list(wanted)
        return first(sorted(entries, by_weight), math.min(wanted, capacity))
    end

    return self
end

-- Values by key, made when they are first asked for: `capacity` of them, and one for all other keys, whose
-- key is "(other)".
function M.groups(capacity, make)
    local self = { all = {} }
    local count, other = 0, nil

    function self.get(key, ...)
        local group = self.all[key]
        if group then
            return group
        end
        if count < capacity then
            count = count + 1
            group = make(...)
            self.all[key] = group
            return group
        end
        -- A key that nobody else has.
        other = other or make(...)
        self.other = other
        return other
    end

    return self
end

return M
