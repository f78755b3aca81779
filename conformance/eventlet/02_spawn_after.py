"""spawn is spawn_after 0: both run in the order of the calls; equal deadlines keep their order, too."""
import eventlet

eventlet.spawn_after(0.06, print, '60 ms')
eventlet.spawn_after(0.02, print, '20 ms, first')
eventlet.spawn_after(0.02, print, '20 ms, second')
eventlet.spawn_after(0.02, print, '20 ms, third')
eventlet.spawn_after(0.04, print, '40 ms')
eventlet.spawn_after(0, print, 'spawned after 0, first')
eventlet.spawn(print, 'spawned, second')
eventlet.spawn_after(0, print, 'spawned after 0, third')
eventlet.spawn_n(print, 'spawned without a result, fourth')
print('main waits')
eventlet.sleep(0.08)
late = eventlet.spawn_after(0.02, lambda: 'the result')
print('wait for', late.wait())
