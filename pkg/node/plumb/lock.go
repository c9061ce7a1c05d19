// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"sync"
)

// keyedLock lets one operation at a time touch one attachment, and as many attachments as there are in parallel.
type keyedLock struct {
	mu   sync.Mutex
	held map[string]*lockEntry
}

type lockEntry struct {
	free chan struct{} // holds one token while the lock is free
	refs int
}

// lock waits for the key and returns the function that gives it back.
func (l *keyedLock) lock(ctx context.Context, key string) (func(), error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lockEntry{}
	}
	e := l.held[key]
	if e == nil {
		e = &lockEntry{free: make(chan struct{}, 1)}
		e.free <- struct{}{}
		l.held[key] = e
	}
	e.refs++
	l.mu.Unlock()
	select {
	case <-e.free:
		return func() { e.free <- struct{}{}; l.release(key, e) }, nil
	case <-ctx.Done():
		l.release(key, e)
		return nil, ctx.Err()
	}
}

// try is [keyedLock.lock] without waiting; free is false if the key is taken.
func (l *keyedLock) try(key string) (unlock func(), free bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[key] != nil {
		return nil, false
	}
	if l.held == nil {
		l.held = map[string]*lockEntry{}
	}
	e := &lockEntry{free: make(chan struct{}, 1), refs: 1}
	l.held[key] = e
	return func() { e.free <- struct{}{}; l.release(key, e) }, true
}

// busy reports whether the key is taken or waited for.
func (l *keyedLock) busy(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[key] != nil
}

func (l *keyedLock) release(key string, e *lockEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.refs--; e.refs == 0 {
		delete(l.held, key)
	}
}
