// SPDX-License-Identifier: Apache-2.0

package cniserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/cniserver"
	"github.com/wovensdn/woven/pkg/cniserver/api"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/podnet"
)

// pods is a Pods that calls a function.
type pods func(ctx context.Context, ref podnet.Ref) (podnet.Network, error)

func (p pods) Wait(ctx context.Context, ref podnet.Ref) (podnet.Network, error) { return p(ctx, ref) }

// plumber records requests and returns err.
type plumber struct {
	err      error
	requests chan any
}

func (p plumber) Add(_ context.Context, req plumb.Request) (plumb.Result, error) {
	p.requests <- req
	return plumb.Result{
		HostIf: "abc_h", HostMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, MTU: 1400,
		Routes: []podnet.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.16.0.1")}},
	}, p.err
}
func (p plumber) Del(_ context.Context, a plumb.Attachment) error  { p.requests <- a; return p.err }
func (p plumber) Check(_ context.Context, req plumb.Request) error { p.requests <- req; return p.err }

func (p plumber) GC(_ context.Context, valid []plumb.Attachment) error {
	p.requests <- valid
	return p.err
}
func (p plumber) Status(context.Context) error { return p.err }

var network = podnet.Network{
	Namespace: "shop", Name: "web-0", UID: "u1", Provider: "ovn", Port: "web-0.shop", LogicalSwitch: "ovn-default",
	Addresses:    []netip.Prefix{netip.MustParsePrefix("10.16.0.5/16"), netip.MustParsePrefix("fd00::5/112")},
	Gateways:     []netip.Addr{netip.MustParseAddr("10.16.0.1")},
	MAC:          net.HardwareAddr{0x0a, 0, 0, 0, 0, 5},
	DefaultRoute: true,
}

func known(context.Context, podnet.Ref) (podnet.Network, error) { return network, nil }

func request() api.Request {
	return api.Request{
		CNIType: "woven", PodName: "web-0", PodNamespace: "shop", PodUID: "u1", ContainerID: "abc", NetNS: "/run/netns/x", IfName: "eth0",
		DNS: api.DNS{Nameservers: []string{"10.96.0.10"}},
	}
}

// harness is a running server.
type harness struct {
	socket string
	client *http.Client
	work   plumber
	reg    *prometheus.Registry
	stop   func() error
}

func start(t *testing.T, change func(*cniserver.Config)) *harness {
	t.Helper()
	h := &harness{socket: filepath.Join(t.TempDir(), "dir", "cni.sock"), work: plumber{requests: make(chan any, 16)}, reg: prometheus.NewRegistry()}
	cfg := cniserver.Config{
		Socket: h.socket, Pods: pods(known), Plumber: h.work, Registerer: h.reg, Clock: clock.RealClock{}, Log: testr.New(t),
	}
	if change != nil {
		change(&cfg)
	}
	h.socket = cfg.Socket
	s, err := cniserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var stopped error
	done := false
	h.stop = func() error {
		if !done {
			done = true
			cancel()
			stopped = <-ended
		}
		return stopped
	}
	t.Cleanup(func() { _ = h.stop() })
	h.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, h.socket, ended) },
	}}
	t.Cleanup(h.client.CloseIdleConnections)
	return h
}

// dial waits until the server listens. It fails when Run has returned.
func dial(ctx context.Context, socket string, ended chan error) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", socket)
		if err == nil || (!errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ECONNREFUSED)) {
			return conn, err
		}
		select {
		case err := <-ended:
			ended <- err
			return nil, fmt.Errorf("the server has stopped: %w", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (h *harness) post(t *testing.T, path string, in any) (int, string) {
	t.Helper()
	body, ok := in.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cniserver"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestAddResponseJSON pins the JSON that plugins of other releases parse.
func TestAddResponseJSON(t *testing.T) {
	h := start(t, nil)
	code, body := h.post(t, api.PathAdd, request())
	var got, want any
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if err := json.Unmarshal([]byte(`{
		"ips": [
			{"protocol": "IPv4", "ip": "10.16.0.5", "cidr": "10.16.0.0/16", "gateway": "10.16.0.1"},
			{"protocol": "IPv6", "ip": "fd00::5", "cidr": "fd00::/112", "gateway": ""}],
		"mac_address": "0a:00:00:00:00:05", "mtu": 1400, "nicname": "eth0", "dns": {"nameservers": ["10.96.0.10"]},
		"routes": [{"dst": "0.0.0.0/0", "gw": "10.16.0.1"}],
		"host_nicname": "abc_h", "host_mac_address": "02:00:00:00:00:01"}`), &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	asked := (<-h.work.requests).(plumb.Request)
	if asked.NetNS != "/run/netns/x" || asked.Attachment != (plumb.Attachment{ContainerID: "abc", IfName: "eth0"}) || asked.Network.Port != "web-0.shop" {
		t.Fatalf("plumber got %+v", asked)
	}
	// The response is sent before the metrics are counted; stopping the server waits for them.
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if got, want := gather(t, h.reg), "cni_op_latency_seconds{code=200,op=add} 1\ncni_wait_address_seconds{} 1\n"; got != want {
		t.Errorf("metrics are\n%s, want\n%s", got, want)
	}
}

// gather returns the counts of all metrics as "name{label=value,…} count" lines.
func gather(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			fmt.Fprintf(&out, "%s{%s} %d\n", f.GetName(), strings.Join(labels, ","), m.GetHistogram().GetSampleCount())
		}
	}
	return out.String()
}

func TestOtherOperations(t *testing.T) {
	h := start(t, nil)
	del := api.Request{ContainerID: "abc", IfName: "eth0"} // the pod and its namespace are gone
	check := request()
	check.IPs = []api.IP{{IP: "fd00::5"}, {IP: "10.16.0.5"}}
	gc := api.GCRequest{ValidAttachments: []api.Attachment{{ContainerID: "abc", IfName: "eth0"}}}
	for path, in := range map[string]any{api.PathDel: del, api.PathCheck: check, api.PathGC: gc, api.PathStatus: struct{}{}} {
		if code, body := h.post(t, path, in); code != http.StatusNoContent || body != "" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestErrorsHaveCodeAndReason(t *testing.T) {
	bad, route, moved := request(), request(), request()
	bad.IfName = "a/b"
	route.Routes = []api.Route{{Destination: "fd01::/64"}}
	moved.IPs = []api.IP{{IP: "10.16.0.9"}}
	late := func(ctx context.Context, ref podnet.Ref) (podnet.Network, error) {
		<-ctx.Done()
		return podnet.Network{}, fmt.Errorf("%s: no address yet: %w", ref, ctx.Err())
	}
	parse := func(_ context.Context, ref podnet.Ref) (podnet.Network, error) {
		return podnet.Parse(ref, "u1", nil)
	}
	for name, tc := range map[string]struct {
		path string
		in   any
		pods pods
		err  error
		code int
		want string
	}{
		"bad field":          {path: api.PathAdd, in: bad, code: 400, want: `if_name: \"a/b\" contains '/'`},
		"not JSON":           {path: api.PathDel, in: []byte("hello"), code: 400, want: "body: is not the JSON of a request"},
		"too long":           {path: api.PathAdd, in: bytes.Repeat([]byte(" "), 2<<20), code: 400, want: "body: longer than 1048576 bytes"},
		"route of a family":  {path: api.PathAdd, in: route, code: 400, want: "routes[0]: gw: is empty and the subnet has no gateway"},
		"no address in time": {path: api.PathAdd, in: request(), pods: late, code: 503, want: "pod shop/web-0: no address yet"},
		"annotation":         {path: api.PathAdd, in: request(), pods: parse, code: 500, want: "pod shop/web-0: annotation ovn.kubernetes.io/ip_address: is empty"},
		"failed":             {path: api.PathAdd, in: request(), err: errors.New("boom"), code: 500, want: "pod shop/web-0: boom"},
		"database away":      {path: api.PathDel, in: request(), err: fmt.Errorf("x: %w", ovs.ErrNotConnected), code: 503, want: "not connected"},
		"no bridge":          {path: api.PathAdd, in: request(), err: fmt.Errorf("x: %w", ovs.ErrNoBridge), code: 503, want: "no such bridge"},
		"not installed":      {path: api.PathAdd, in: request(), err: fmt.Errorf("x: %w", context.DeadlineExceeded), code: 503, want: "deadline"},
		"check differs":      {path: api.PathCheck, in: request(), err: errors.New("mtu is 1, want 2"), code: 500, want: "mtu is 1"},
		"address differs":    {path: api.PathCheck, in: moved, code: 500, want: "the runtime's result has the addresses [10.16.0.9], the pod's annotation says [10.16.0.5 fd00::5]"},
		"bad attachment":     {path: api.PathGC, in: []byte(`{"valid_attachments":[{}]}`), code: 400, want: "valid_attachments[0]: container_id: is empty"},
		"status":             {path: api.PathStatus, in: struct{}{}, err: errors.New("no bridge"), code: 503, want: "not ready: no bridge"},
		"unknown path":       {path: "/api/v1/nothing", in: struct{}{}, code: 404, want: `"error"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(c *cniserver.Config) {
				c.AddressTimeout = 20 * time.Millisecond
				c.Plumber = plumber{err: tc.err, requests: make(chan any, 16)}
				if tc.pods != nil {
					c.Pods = tc.pods
				}
			})
			code, body := h.post(t, tc.path, tc.in)
			if code != tc.code || !strings.Contains(body, tc.want) || !strings.Contains(body, `"error"`) {
				t.Fatalf("got %d %s, want %d %s", code, body, tc.code, tc.want)
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	h := start(t, func(c *cniserver.Config) { c.Ready = func() error { return errors.New("caches are not synced") } })
	if code, body := h.post(t, api.PathStatus, struct{}{}); code != http.StatusServiceUnavailable || !strings.Contains(body, "caches are not synced") {
		t.Fatalf("%d %s", code, body)
	}
}

// With a limit of one and one waiting ADD, further ADDs are refused and DELs are not.
func TestBusyRefusesAddsButNotDels(t *testing.T) {
	waiting, release := make(chan struct{}), make(chan struct{})
	h := start(t, func(c *cniserver.Config) {
		c.MaxInFlight = 1
		c.Pods = pods(func(context.Context, podnet.Ref) (podnet.Network, error) {
			close(waiting)
			<-release
			return network, nil
		})
	})
	first := make(chan int, 1)
	go func() { code, _ := h.post(t, api.PathAdd, request()); first <- code }()
	<-waiting
	if code, body := h.post(t, api.PathAdd, request()); code != http.StatusServiceUnavailable || !strings.Contains(body, "too many operations") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := h.post(t, api.PathDel, request()); code != http.StatusNoContent {
		t.Errorf("%d %s", code, body)
	}
	close(release)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first ADD: %d", code)
	}
}

func TestShutdownCancelsWaits(t *testing.T) {
	waiting := make(chan struct{})
	h := start(t, func(c *cniserver.Config) {
		c.Pods = pods(func(ctx context.Context, ref podnet.Ref) (podnet.Network, error) {
			close(waiting)
			<-ctx.Done()
			return podnet.Network{}, fmt.Errorf("%s: %w", ref, ctx.Err())
		})
	})
	code := make(chan int, 1)
	go func() { c, _ := h.post(t, api.PathAdd, request()); code <- c }()
	<-waiting
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if c := <-code; c != http.StatusServiceUnavailable {
		t.Fatalf("the waiting ADD got %d", c)
	}
	if _, err := os.Lstat(h.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the socket still exists: %v", err)
	}
}
