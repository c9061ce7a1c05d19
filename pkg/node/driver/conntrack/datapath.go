// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Datapath is the connection tracking of Open vSwitch, asked through the control
// socket of ovs-vswitchd (ovs-appctl(8)): that of the kernel or its own, as its bridges are.
type Datapath struct {
	// RunDir is where ovs-vswitchd has its sockets, for example /run/openvswitch.
	RunDir string
}

// requestTimeout bounds one request to ovs-vswitchd; maxAnswer and maxPID what is read.
const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 1 << 20
	maxPID         = 64
)

// ForgetUDP removes the connections of UDP that asked one address and are answered by
// another, in all zones (ovs-vswitchd(8), dpctl/flush-conntrack). If both are the
// same, nobody has translated the connection: OVN looks at its load balancers for new
// connections only, so that one that was there before the address was a Service's
// would never reach a backend.
func (d Datapath) ForgetUDP(ctx context.Context, asked, answers netip.AddrPort) error {
	err := d.control(ctx, "dpctl/flush-conntrack", tuple("dst", asked), tuple("src", answers))
	if err != nil {
		return fmt.Errorf("forget connections to %s that Open vSwitch tracks: %w", asked, err)
	}
	return nil
}

// EachUDP calls each for the connections of UDP in all zones, with what was asked and
// who answers (ovs-vswitchd(8), dpctl/dump-conntrack). The answer has a line for
// every connection of any protocol, and is read line by line.
func (d Datapath) EachUDP(ctx context.Context, each func(asked, answers netip.AddrPort)) error {
	conn, err := d.ask(ctx, "dpctl/dump-conntrack", []string{})
	if err != nil {
		return fmt.Errorf("look at the connections that Open vSwitch tracks: %w", err)
	}
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	lines.Split(jsonLines)
	frame := "" // what is around the lines
	for !strings.HasSuffix(frame, "}") && lines.Scan() {
		line := lines.Text()
		if quote := strings.LastIndexByte(line, '"'); quote >= 0 {
			frame, line = frame+line, line[quote+1:]
		}
		if asked, answers, ok := connection(line); ok {
			each(asked, answers)
		}
	}
	switch {
	case lines.Err() != nil:
		return fmt.Errorf("read the connections that Open vSwitch tracks: %w", lines.Err())
	case !strings.HasSuffix(frame, "}"):
		return fmt.Errorf("read the connections that Open vSwitch tracks: %w", io.ErrUnexpectedEOF)
	case !strings.Contains(frame, `"error":null`):
		return fmt.Errorf("look at the connections that Open vSwitch tracks: ovs-vswitchd: %s", frame)
	}
	return nil
}

// jsonLines splits at line feeds as they stand in a string of JSON, and at the end of the object.
func jsonLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.Index(data, []byte(`\n`)); i >= 0 {
		return i + 2, data[:i], nil
	}
	if bytes.HasSuffix(data, []byte("}")) || atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// connection reads a line of dpctl/dump-conntrack:
// "udp,orig=(src=10.16.0.5,dst=10.96.0.80,sport=55337,dport=80),reply=(src=10.16.0.3,dst=10.16.0.5,sport=7000,dport=55337),zone=10".
func connection(line string) (asked, answers netip.AddrPort, ok bool) {
	line, ok = strings.CutPrefix(line, "udp,orig=(")
	if !ok {
		return asked, answers, false
	}
	orig, rest, _ := strings.Cut(line, "),reply=(")
	reply, _, _ := strings.Cut(rest, ")")
	asked, ok1 := end(orig, "dst=", "dport=")
	answers, ok2 := end(reply, "src=", "sport=")
	return asked, answers, ok1 && ok2
}

// end is an address and a port of one direction of a connection.
func end(fields, address, port string) (netip.AddrPort, bool) {
	var a netip.Addr
	var p uint64
	var err1, err2 error
	for field := range strings.SplitSeq(fields, ",") {
		if text, ok := strings.CutPrefix(field, address); ok {
			a, err1 = netip.ParseAddr(text)
		} else if text, ok := strings.CutPrefix(field, port); ok {
			p, err2 = strconv.ParseUint(text, 10, 16)
		}
	}
	return netip.AddrPortFrom(a, uint16(p)), err1 == nil && err2 == nil && a.IsValid()
}

// tuple is one end of a connection in the words of dpctl/flush-conntrack.
func tuple(end string, at netip.AddrPort) string {
	family := "nw"
	if at.Addr().Is6() {
		family = "ipv6"
	}
	return fmt.Sprintf("ct_%s_%s=%s,ct_nw_proto=17,ct_tp_%s=%d", family, end, at.Addr(), end, at.Port())
}

// control runs one command of ovs-vswitchd.
func (d Datapath) control(ctx context.Context, method string, params ...string) error {
	conn, err := d.ask(ctx, method, params)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var answer struct {
		Error *string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("read the answer of ovs-vswitchd: %w", err)
	}
	if answer.Error != nil {
		return errors.New("ovs-vswitchd: " + strings.TrimSpace(*answer.Error))
	}
	return nil
}

// ask sends a question; the answer is to be read before [requestTimeout] has run out.
func (d Datapath) ask(ctx context.Context, method string, params []string) (net.Conn, error) {
	path, err := d.socket()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("reach ovs-vswitchd: %w", err)
	}
	deadline, _ := ctx.Deadline()
	request := map[string]any{"id": 0, "method": method, "params": params}
	if err := errors.Join(conn.SetDeadline(deadline), json.NewEncoder(conn).Encode(request)); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("ask ovs-vswitchd: %w", err)
	}
	return conn, nil
}

// socket is named after the process (ovs-appctl(8), "--target").
func (d Datapath) socket() (string, error) {
	file, err := os.Open(filepath.Join(d.RunDir, "ovs-vswitchd.pid"))
	if err != nil {
		return "", fmt.Errorf("find ovs-vswitchd: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxPID))
	if err != nil {
		return "", fmt.Errorf("find ovs-vswitchd: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("find ovs-vswitchd: %s holds no number: %w", file.Name(), err)
	}
	return filepath.Join(d.RunDir, fmt.Sprintf("ovs-vswitchd.%d.ctl", pid)), nil
}
