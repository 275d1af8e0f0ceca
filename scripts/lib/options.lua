-- Options behind `--`, as name=value. A name or value that makes no sense ends the start with a message,
-- rather than doing something else than was asked for.
local M = {}

local function names_of(known)
    local names = {}
    for name in pairs(known) do
        names[#names + 1] = name
    end
    table.sort(names)
    return table.concat(names, ", ")
end

-- `known` has each option's default by its name. A number takes numbers from 0 on, a boolean 0 and 1, a list
-- of words one of them (the first is the default).
function M.read(options, known)
    local values = {}
    for name, default in pairs(known) do
        values[name] = default
        if type(default) == "table" then
            values[name] = default[1]
        end
    end
    for _, word in ipairs(options) do
        local name, text = word:match("^%-*([%w_]+)=(.*)$")
        local default = known[name]
        if default == nil then
            error(("`%s` is no option of this script; there are: %s"):format(word, names_of(known)), 0)
        end
        local value
        if type(default) == "number" then
            value = tonumber(text)
            -- Not a number is not equal to itself.
            if value == nil or value ~= value or value < 0 or value == math.huge then
                error(("%s: a number from 0 on is needed"):format(word), 0)
            end
        elseif type(default) == "boolean" then
            if text ~= "0" and text ~= "1" then
                error(("%s: 0 or 1 is needed"):format(word), 0)
            end
            value = text == "1"
        else
            for _, one in ipairs(default) do
                value = value or (one == text and one)
            end
            if not value then
                error(("%s: one of %s is needed"):format(word, table.concat(default, ", ")), 0)
            end
        end
        values[name] = value
    end
    return values
end

-- A function that says, given tick's `now`, whether `seconds` are over since the last time; never with 0.
function M.timer(seconds)
    local due
    return function(now)
        if seconds == 0 then
            return false
        end
        due = due or now + seconds
        if now < due then
            return false
        end
        -- A file may have no packets for longer than that.
        due = due + seconds * math.max(1, math.floor((now - due) / seconds) + 1)
        return true
    end
end

return M
