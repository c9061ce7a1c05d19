package conntrack

import (
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

// patience bounds one question to ovs-vswitchd; maxAnswer and maxPID what is read.
const (
	patience  = 10 * time.Second
	maxAnswer = 1 << 20
	maxPID    = 64
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
	path, err := d.socket()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("reach ovs-vswitchd: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("bound the wait for ovs-vswitchd: %w", err)
		}
	}
	request := map[string]any{"id": 0, "method": method, "params": params}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return fmt.Errorf("ask ovs-vswitchd: %w", err)
	}
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
