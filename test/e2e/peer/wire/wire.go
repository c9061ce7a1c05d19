// Package wire is what tests and peers say to each other.
package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// HTTPPort serves /ready and /check.
	HTTPPort = 8080
	// HelloPort answers each connection and each datagram with the address that it came from.
	HelloPort = 7000
)

// patience is how long a target is asked again; attempt bounds one question. The
// first packet between two pods waits for ARP and for flows.
const (
	patience = 15 * time.Second
	attempt  = 2 * time.Second
)

// How to ask a target.
const (
	Ping    = "ping"    // one echo request
	Connect = "connect" // a TCP connection, closed at once
	Hello   = "hello"   // a TCP connection that tells as whom we are seen
	Send    = "send"    // a datagram that is answered with as whom we are seen
	Get     = "get"     // an HTTP request: the answer has the status, a header and the body
)

// Target is one question.
type Target struct {
	How     string `json:"how"`
	Address string `json:"address"` // an IP address, for TCP with a port
	// Refused wants a connection or a datagram refused, and nothing else.
	Refused bool `json:"refused,omitempty"`
	// Silent wants no answer at all, and asks once.
	Silent bool `json:"silent,omitempty"`
	// Source is the address that asks; empty leaves it to the kernel.
	Source string `json:"source,omitempty"`
}

// Answer is what came of it: Error is empty if the target answered.
type Answer struct {
	Target
	SeenAs string `json:"seenAs,omitempty"` // with Hello and Send
	By     string `json:"by,omitempty"`     // who answered, if it tells: its address with Hello, the name of the pod with Send
	Body   string `json:"body,omitempty"`   // with Get
	Error  string `json:"error,omitempty"`
	Tries  int    `json:"tries"`
}

// Ask asks all targets at once.
func Ask(ctx context.Context, targets []Target) []Answer {
	answers := make([]Answer, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { answers[i] = insist(ctx, t, i) })
	}
	wg.Wait()
	return answers
}

func insist(ctx context.Context, t Target, id int) Answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for a := (Answer{Target: t}); ; {
		a.Tries++
		err := askOnce(ctx, &a, id)
		if t.Silent {
			return silent(a, err)
		}
		switch refused := errors.Is(err, syscall.ECONNREFUSED); {
		case t.Refused && refused:
			err = nil
		case t.Refused && err == nil:
			err = errors.New("it was answered, want it refused")
		}
		if err == nil {
			a.Error = ""
			return a
		}
		a.Error = err.Error()
		select {
		case <-ctx.Done():
			return a
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// silent wants the question to have run into its time limit.
func silent(a Answer, err error) Answer {
	switch late := net.Error(nil); {
	case err == nil:
		a.Error = "it was answered, want silence"
	case !errors.As(err, &late) || !late.Timeout():
		a.Error = "want silence: " + err.Error()
	}
	return a
}

func askOnce(ctx context.Context, a *Answer, id int) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if a.How == Ping {
		return ping(ctx, a.Address, os.Getpid()<<8+id)
	}
	if a.How == Send {
		var err error
		a.SeenAs, a.By, err = datagramFrom(ctx, a.Source, a.Address)
		return err
	}
	if a.How == Get {
		return get(ctx, a)
	}
	dialer := &net.Dialer{}
	if a.Source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(a.Source)}
	}
	conn, err := dialer.DialContext(ctx, "tcp", a.Address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if a.How == Connect {
		return nil
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	for i, word := range strings.Fields(line) {
		seen, err := netip.ParseAddrPort(word)
		if err != nil {
			return fmt.Errorf("answer %q: %w", line, err)
		}
		*[]*string{&a.SeenAs, &a.By}[min(i, 1)] = seen.Addr().Unmap().String()
	}
	return nil
}

// get asks by HTTP.
func get(ctx context.Context, a *Answer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Address+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	a.Body = fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get("X-Load-Balancing-Endpoint-Weight"), strings.TrimSpace(string(body)))
	return err
}

// Steady sends an echo request every 100 ms for ten seconds, and counts those without a reply within a second.
func Steady(ctx context.Context, address string) (sent, lost int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for sent = range 100 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := ping(ctx, address, os.Getpid()<<8+sent); err != nil {
				mu.Lock()
				defer mu.Unlock()
				lost++
			}
		})
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	wg.Wait()
	return sent + 1, lost
}

// ping sends an echo request and waits for its reply.
func ping(ctx context.Context, address string, id int) error {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	id &= 0xffff
	network, local := "ip4:icmp", "0.0.0.0"
	var request icmp.Type = ipv4.ICMPTypeEcho
	if to.Is6() {
		network, local, request = "ip6:ipv6-icmp", "::", ipv6.ICMPTypeEchoRequest
	}
	conn, err := icmp.ListenPacket(network, local)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	message, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte("woven")}}).Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := conn.WriteTo(message, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	return awaitReply(conn, to, id)
}

// awaitReply passes over what raw sockets see of others.
func awaitReply(conn *icmp.PacketConn, from netip.Addr, id int) error {
	protocol := 1
	var reply icmp.Type = ipv4.ICMPTypeEchoReply
	if from.Is6() {
		protocol, reply = 58, ipv6.ICMPTypeEchoReply
	}
	buffer := make([]byte, 1500)
	for {
		n, sender, err := conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("no echo reply")
		}
		if err != nil {
			return err
		}
		if ip, ok := sender.(*net.IPAddr); !ok || !ip.IP.Equal(from.AsSlice()) {
			continue
		}
		parsed, err := icmp.ParseMessage(protocol, buffer[:n])
		if err != nil || parsed.Type != reply {
			continue
		}
		if echo, ok := parsed.Body.(*icmp.Echo); ok && echo.ID == id {
			return nil
		}
	}
}
