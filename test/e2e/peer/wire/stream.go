package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// StreamInterval is between two datagrams of [Stream].
const StreamInterval = 50 * time.Millisecond

// Echoed is a datagram of a stream that was answered.
type Echoed struct {
	Number int       `json:"number"` // of the datagram, from 0
	Sent   time.Time `json:"sent"`
	SeenAs string    `json:"seenAs"` // the address that it came from, as the answer tells
}

// Stream sends a datagram every [StreamInterval] to an address that answers each
// with the address that it came from, and writes each answer to out as a line of
// JSON. It ends with ctx, or when nobody reads out any more.
//
// The answer does not say to which datagram it belongs, so each has a socket of its own.
func Stream(ctx context.Context, address string, out io.Writer) error {
	answers := make(chan Echoed, 1000)
	ticker := time.NewTicker(StreamInterval)
	defer ticker.Stop()
	encoder := json.NewEncoder(out)
	for number := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			if err := encoder.Encode(a); err != nil {
				return fmt.Errorf("tell of an answer: %w", err)
			}
		case now := <-ticker.C:
			a := Echoed{Number: number, Sent: now}
			number++
			go func() {
				if seen, err := datagram(ctx, address); err == nil {
					a.SeenAs = seen
					answers <- a
				}
			}()
		}
	}
}

// datagram sends one and returns as whom it was seen, or an error after a second without an answer.
func datagram(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("woven")); err != nil {
		return "", err
	}
	buffer := make([]byte, 256)
	n, err := conn.Read(buffer)
	if err != nil {
		return "", err
	}
	seen, err := netip.ParseAddrPort(strings.TrimSpace(string(buffer[:n])))
	return seen.Addr().Unmap().String(), err
}
