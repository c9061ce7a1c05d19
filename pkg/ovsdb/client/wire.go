// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// maxMessage bounds one JSON-RPC message; the dump of 100,000 ports is about 60 MB.
const maxMessage = 2 << 30

// message is any JSON-RPC 1.0 message of RFC 7047 section 4: requests and notifications have a method, replies have
// none.
type message struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

type request struct {
	Method string `json:"method"`
	Params any    `json:"params"`
	ID     any    `json:"id"`
}

type response struct {
	Result json.RawMessage `json:"result"`
	Error  any             `json:"error"`
	ID     json.RawMessage `json:"id"`
}

// replyFunc receives the reply to a call, in order with all messages of the server.
type replyFunc func(result json.RawMessage, err error) error

// wire is one JSON-RPC connection. The reader replies to the server's echo requests at once, even while a large update
// is being applied, and passes all other messages to inbox in order. No method holds a lock during network I/O: closing
// the socket unblocks everyone.
type wire struct {
	conn     net.Conn
	inbox    *queue[message]
	out      *queue[[]byte]
	clock    clock.PassiveClock
	born     time.Time
	lastRead atomic.Int64 // nanoseconds after born of the last byte read

	mu     sync.Mutex
	calls  map[string]replyFunc
	nextID uint64
}

func newWire(conn net.Conn, c clock.PassiveClock) *wire {
	return &wire{
		conn: conn, inbox: newQueue[message](), out: newQueue[[]byte](),
		clock: c, born: c.Now(), calls: map[string]replyFunc{},
	}
}

// silence returns how long the server has sent nothing.
func (w *wire) silence() time.Duration {
	return w.clock.Since(w.born) - time.Duration(w.lastRead.Load())
}

// Read reads from the connection and records the time, for silence.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.conn.Read(p)
	if n > 0 {
		w.lastRead.Store(int64(w.clock.Since(w.born)))
	}
	return n, err
}

func (w *wire) readLoop() error {
	r := bufio.NewReaderSize(w, 64<<10)
	for {
		raw, err := readMessage(r, maxMessage)
		if err != nil {
			return fmt.Errorf("read from server: %w", err)
		}
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("decode server message: %w", err)
		}
		if m.Method == "echo" {
			if err := w.reply(m); err != nil {
				return err
			}
			continue
		}
		w.inbox.push(m)
	}
}

func (w *wire) writeLoop(ctx context.Context) error {
	for {
		raw, err := w.out.pop(ctx)
		if err != nil {
			return err
		}
		if _, err := w.conn.Write(raw); err != nil {
			return fmt.Errorf("write to server: %w", err)
		}
	}
}

func (w *wire) reply(m message) error {
	raw, err := json.Marshal(response{Result: m.Params, ID: m.ID})
	if err != nil {
		return fmt.Errorf("encode echo reply: %w", err)
	}
	w.out.push(raw)
	return nil
}

// start sends a request and returns its id; fn receives the reply.
func (w *wire) start(method string, params any, fn replyFunc) (uint64, error) {
	w.mu.Lock()
	w.nextID++
	id := w.nextID
	w.mu.Unlock()
	raw, err := json.Marshal(request{Method: method, Params: params, ID: id})
	if err != nil {
		return 0, fmt.Errorf("encode %s: %w", method, err)
	}
	w.mu.Lock()
	w.calls[fmt.Sprint(id)] = fn
	w.mu.Unlock()
	w.out.push(raw)
	return id, nil
}

// cancel cancels a request (RFC 7047 section 4.1.4). Its reply still arrives.
func (w *wire) cancel(id uint64) {
	// A request of plain values always encodes.
	if raw, err := json.Marshal(request{Method: "cancel", Params: []any{id}}); err == nil {
		w.out.push(raw)
	}
}

// finish passes a reply to its call.
func (w *wire) finish(m message) error {
	w.mu.Lock()
	fn := w.calls[string(m.ID)]
	delete(w.calls, string(m.ID))
	w.mu.Unlock()
	if fn == nil {
		return fmt.Errorf("reply to unknown request %.40s", m.ID)
	}
	if len(m.Error) > 0 && string(m.Error) != "null" {
		return fn(nil, rpcError(m.Error))
	}
	return fn(m.Result, nil)
}

// rpcError is the error member of a reply, as JSON.
type rpcError json.RawMessage

func (e rpcError) Error() string {
	var text string
	if json.Unmarshal(e, &text) == nil {
		return "server: " + text
	}
	var object struct{ Error, Details string }
	if json.Unmarshal(e, &object) == nil && object.Error != "" {
		return fmt.Sprintf("server: %s: %s", object.Error, object.Details)
	}
	return "server: " + string(e)
}

var errTooLong = errors.New("message too long")

// readMessage reads one JSON object. It only finds its end; the content is parsed once, later.
func readMessage(r *bufio.Reader, limit int) ([]byte, error) {
	var msg []byte
	var f framer
	for {
		if _, err := r.Peek(1); err != nil {
			if errors.Is(err, io.EOF) && len(msg) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		chunk, err := r.Peek(r.Buffered())
		if err != nil {
			return nil, err
		}
		n, done := f.scan(chunk)
		if len(msg)+n > limit {
			return nil, errTooLong
		}
		msg = append(msg, chunk[:n]...)
		if _, err := r.Discard(n); err != nil {
			return nil, err
		}
		if done {
			return msg, nil
		}
	}
}

// framer finds the end of a JSON object in a stream.
type framer struct {
	depth    int
	inString bool
	escaped  bool
}

// scan returns how many bytes of p belong to the object, and whether it ends there.
func (f *framer) scan(p []byte) (int, bool) {
	for i, c := range p {
		switch {
		case f.escaped:
			f.escaped = false
		case f.inString:
			f.escaped = c == '\\'
			f.inString = c != '"'
		case c == '"':
			f.inString = true
		case c == '{' || c == '[':
			f.depth++
		case c == '}' || c == ']':
			f.depth--
			if f.depth <= 0 {
				return i + 1, true
			}
		}
	}
	return len(p), false
}

// queue is an unbounded FIFO with one consumer. Its length is bounded in practice: callers wait for their replies, and
// the server's updates would otherwise pile up in the server.
type queue[T any] struct {
	wake chan struct{}

	mu    sync.Mutex
	items []T
}

func newQueue[T any]() *queue[T] { return &queue[T]{wake: make(chan struct{}, 1)} }

func (q *queue[T]) push(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop waits for an item. It returns the cause of ctx if that ends first.
func (q *queue[T]) pop(ctx context.Context) (T, error) {
	for {
		if v, ok := q.tryPop(); ok {
			return v, nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			var zero T
			return zero, context.Cause(ctx)
		}
	}
}

func (q *queue[T]) tryPop() (T, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var zero T
	if len(q.items) == 0 {
		return zero, false
	}
	v := q.items[0]
	q.items[0] = zero
	q.items = q.items[1:]
	return v, true
}
