"""spawn_later runs by deadline; equal deadlines keep their order; 0 comes behind who was spawned."""
import gevent

tasks = [
    gevent.spawn_later(0.06, print, '60 ms'),
    gevent.spawn_later(0.02, print, '20 ms, first'),
    gevent.spawn_later(0.02, print, '20 ms, second'),
    gevent.spawn_later(0.02, print, '20 ms, third'),
    gevent.spawn_later(0.04, print, '40 ms'),
    gevent.spawn_later(0, print, '0 ms, first'),
    gevent.spawn_later(0, print, '0 ms, second'),
    gevent.spawn(print, 'spawned last'),
]
print('main waits')
gevent.joinall(tasks)
never = gevent.spawn_later(0.02, print, 'never printed')
never.kill()
gevent.sleep(0.04)
print('killed before its time:', never.dead)
