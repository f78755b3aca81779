-- What Neovim does with libuv: files, jobs, timers, sockets, watches. It prints what it sees.
local uv = vim.loop
local function say(...) print(string.format(...)) end
local folder = uv.fs_mkdtemp("/tmp/oneloop-nvim-XXXXXX")

vim.fn.writefile({ "one", "two", "three" }, folder .. "/file")
vim.cmd("silent edit " .. folder .. "/file")
vim.cmd("silent %s/two/2/ | silent write")
say("file: %s", table.concat(vim.fn.readfile(folder .. "/file"), " "))
say("glob: %d", #vim.fn.glob(folder .. "/*", false, true))
say("system: %s %d", vim.trim(vim.fn.system("tr a-z A-Z", "shout")), vim.v.shell_error)
say("exit: %s %d", vim.trim(vim.fn.system({ "sh", "-c", "echo out; exit 3" })), vim.v.shell_error)

local lines = {}
local job = vim.fn.jobstart({ "cat" }, {
  on_stdout = function(_, data) vim.list_extend(lines, data) end,
  on_exit = function(_, code) table.insert(lines, "code " .. code) end,
})
vim.fn.chansend(job, "to a job\n")
vim.fn.chanclose(job, "stdin")
vim.fn.jobwait({ job }, 5000)
say("job: %s", table.concat(lines, "|"))
local slow = vim.fn.jobstart({ "sleep", "100" })
say("stop: %d", vim.fn.jobstop(slow))
local shown = {}
local terminal = vim.fn.jobstart({ "sh", "-c", "tty >/dev/null && echo a terminal" }, {
  pty = true,
  on_stdout = function(_, data) vim.list_extend(shown, data) end,
})
vim.fn.jobwait({ terminal }, 5000)
say("pty: %s", vim.trim(table.concat(shown, "")))

local ticks = 0
local timer = uv.new_timer()
timer:start(10, 10, function()
  ticks = ticks + 1
  if ticks == 3 then timer:close() end
end)
say("ticks: %s %d", vim.wait(5000, function() return ticks == 3 end, 5), ticks)

local got
local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(8, function(err)
  assert(not err, err)
  local client = uv.new_tcp()
  server:accept(client)
  client:read_start(function(_, data)
    if data then client:write("echo " .. data, function() client:shutdown() end) else client:close() end
  end)
end)
local client = uv.new_tcp()
client:connect("127.0.0.1", server:getsockname().port, function(err)
  assert(not err, err)
  client:write("over TCP")
  client:read_start(function(_, data)
    if data then got = data else client:close() end
  end)
end)
say("tcp: %s %s", vim.wait(5000, function() return client:is_closing() end, 5), tostring(got))
server:close()

local address = vim.fn.serverstart(folder .. "/socket")
local channel = vim.fn.sockconnect("pipe", address, { rpc = true })
say("rpc: %d", vim.fn.rpcrequest(channel, "nvim_eval", "6 * 7"))
vim.fn.chanclose(channel)
vim.fn.serverstop(address)

local seen
local event = uv.new_fs_event()
event:start(folder, {}, function(_, name) seen = seen or name end)
vim.fn.writefile({}, folder .. "/new")
say("event: %s %s", vim.wait(5000, function() return seen ~= nil end, 5), tostring(seen))
event:close()
local work
uv.new_work(function(a, b) return a * b end, function(r) work = r end):queue(6, 7)
say("work: %s %s", vim.wait(5000, function() return work ~= nil end, 5), tostring(work))
local found
uv.getaddrinfo("127.0.0.1", nil, { socktype = "stream" }, function(_, r) found = r[1].addr end)
say("name: %s %s", vim.wait(5000, function() return found ~= nil end, 5), tostring(found))
local status
uv.fs_stat(folder .. "/file", function(_, r) status = r.size end)
say("stat: %s %s", vim.wait(5000, function() return status ~= nil end, 5), tostring(status))
vim.fn.delete(folder, "rf")
say("gone: %s", tostring(uv.fs_stat(folder)))
