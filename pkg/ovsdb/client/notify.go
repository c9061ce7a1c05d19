// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"sync"
)

type eventKind int

const (
	eventChanged eventKind = iota
	eventSynced
	eventLost
)

type rowKey struct{ table, uuid string }

type event struct {
	kind eventKind
	row  rowKey
	err  error
}

// notifier passes events to the handler. Its queue is bounded by the number of rows: a row whose change is still queued
// is not queued again, and Synced replaces the changes before it.
type notifier struct {
	handler Handler
	wake    chan struct{}

	mu     sync.Mutex
	queue  []event
	queued map[rowKey]struct{}
}

func newNotifier(h Handler) *notifier {
	return &notifier{handler: h, wake: make(chan struct{}, 1), queued: map[rowKey]struct{}{}}
}

func (n *notifier) changed(rows []rowKey) {
	if n.handler == nil || len(rows) == 0 {
		return
	}
	n.mu.Lock()
	for _, row := range rows {
		if _, dup := n.queued[row]; dup {
			continue
		}
		n.queued[row] = struct{}{}
		n.queue = append(n.queue, event{kind: eventChanged, row: row})
	}
	n.mu.Unlock()
	n.signal()
}

func (n *notifier) synced() {
	if n.handler == nil {
		return
	}
	n.mu.Lock()
	var kept []event
	for _, e := range n.queue {
		if e.kind != eventChanged {
			kept = append(kept, e)
		}
	}
	n.queue = append(kept, event{kind: eventSynced})
	clear(n.queued)
	n.mu.Unlock()
	n.signal()
}

func (n *notifier) lost(err error) {
	if n.handler == nil {
		return
	}
	n.mu.Lock()
	n.queue = append(n.queue, event{kind: eventLost, err: err})
	n.mu.Unlock()
	n.signal()
}

func (n *notifier) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notifier) take() []event {
	n.mu.Lock()
	defer n.mu.Unlock()
	events := n.queue
	n.queue = nil
	n.queued = map[rowKey]struct{}{}
	return events
}

// run calls the handler until ctx ends.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		for _, e := range n.take() {
			if ctx.Err() != nil {
				return
			}
			switch e.kind {
			case eventChanged:
				n.handler.Changed(e.row.table, e.row.uuid)
			case eventSynced:
				n.handler.Synced()
			case eventLost:
				n.handler.Lost(e.err)
			}
		}
	}
}
