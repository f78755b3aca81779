"""What spawn_after_local has spawned does not run if its spawner ended before."""
import eventlet
from eventlet.greenthread import spawn_after_local


def spawner(name, lives_s):
    eventlet.spawn_after(0.04, print, name, 'spawned it: it runs anyway')
    spawn_after_local(0.04, print, name, 'spawned it locally: it runs')
    eventlet.sleep(lives_s)
    print(name, 'ends')


eventlet.spawn(spawner, 'short', 0.02)
eventlet.sleep(0.06)
eventlet.spawn(spawner, 'long', 0.06)
eventlet.sleep(0.08)
killed = eventlet.spawn(spawner, 'killed', 1)
eventlet.sleep(0.02)
killed.kill()
eventlet.sleep(0.04)
cancelled = spawn_after_local(0.02, print, 'never printed')
cancelled.cancel()
eventlet.sleep(0.04)
print('main ends')
