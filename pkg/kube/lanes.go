package kube

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/util/workqueue"

	"github.com/wovensdn/woven/pkg/model"
)

// ErrNotLeading says that a write was not begun because another process leads, or none.
var ErrNotLeading = errors.New("not leading")

// task is one write. done is told its end.
type task struct {
	run  func(context.Context) error
	done func(error)
}

// lanes carries out tasks in parallel, those of one object in order.
type lanes struct {
	ready workqueue.TypedInterface[model.Ref] // objects with tasks; one worker for each at a time

	mu      sync.Mutex
	waiting map[model.Ref][]task
}

func newLanes() *lanes {
	return &lanes{ready: workqueue.NewTyped[model.Ref](), waiting: map[model.Ref][]task{}}
}

// add never blocks.
func (l *lanes) add(ref model.Ref, t task) {
	l.mu.Lock()
	l.waiting[ref] = append(l.waiting[ref], t)
	l.mu.Unlock()
	l.ready.Add(ref)
}

// run works with so many goroutines until the context ends; tasks that are left
// then end with the context's error.
func (l *lanes) run(ctx context.Context, workers int) error {
	defer context.AfterFunc(ctx, l.ready.ShutDown)()
	var g errgroup.Group
	for range workers {
		g.Go(func() error {
			for {
				ref, shutdown := l.ready.Get()
				if shutdown {
					return nil
				}
				l.next(ctx, ref)
			}
		})
	}
	return g.Wait()
}

func (l *lanes) next(ctx context.Context, ref model.Ref) {
	defer l.ready.Done(ref)
	t, more := l.take(ref)
	if t.run == nil {
		return
	}
	err := ctx.Err()
	if err == nil {
		err = t.run(ctx)
	}
	t.done(err)
	if more {
		l.ready.Add(ref)
		if ctx.Err() != nil {
			l.abandon(ref, ctx.Err()) // the queue takes nothing any more
		}
	}
}

func (l *lanes) take(ref model.Ref) (t task, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tasks := l.waiting[ref]
	if len(tasks) == 0 {
		return task{}, false
	}
	if len(tasks) == 1 {
		delete(l.waiting, ref)
	} else {
		l.waiting[ref] = tasks[1:]
	}
	return tasks[0], len(tasks) > 1
}

func (l *lanes) abandon(ref model.Ref, err error) {
	for {
		t, _ := l.take(ref)
		if t.run == nil {
			return
		}
		t.done(err)
	}
}
