// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/go-logr/logr/testr"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/cniserver"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/podnet"
	"github.com/wovensdn/woven/test/nbtest"
)

func TestMain(m *testing.M) { os.Exit(plumbtest.Main(m)) }

const (
	containerID = "0123456789abcdef0123"
	hostIf      = "6ee0b8e0319de_h" // see plumb.HostName
	waitTimeout = 60 * time.Second
)

// node is a node without ovs-vswitchd and ovn-controller: its database is real, and so are its kernel, the server and
// the plugin's binary.
type node struct {
	plugin, socket string
	driver         *ovs.Driver
	other          *client.DB
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{plugin: filepath.Join(t.TempDir(), "woven-cni"), socket: filepath.Join(t.TempDir(), "cni.sock")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", n.plugin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	server := nbtest.StartVS(t)
	n.other = server.Client(t)
	commit(t, n.other,
		ovsdb.Operation{Op: "insert", Table: "Bridge", UUIDName: "b", Row: ovsdb.Row{"name": "br-int"}},
		ovsdb.Operation{Op: "mutate", Table: "Open_vSwitch", Where: []ovsdb.Condition{}, Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("bridges", ovsdb.MutateOperationInsert, ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: "b"}}}),
		}})
	changes := make(chan struct{}, 1)
	driver, err := ovs.New(ovs.Config{Endpoint: server.Endpoint(), OnChange: func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	n.driver = driver
	background(t, driver.Run)
	background(t, func(ctx context.Context) error { return n.ovnController(ctx, changes) })
	if err := driver.WaitSynced(soon(t)); err != nil {
		t.Fatal(err)
	}
	return n
}

// serve starts the cniserver.
func (n *node) serve(t *testing.T, pods cniserver.Pods) {
	t.Helper()
	plumber, err := plumb.New(plumb.Config{Switch: n.driver, Bridge: "br-int", MTU: 1400, InstalledTimeout: waitTimeout, Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := cniserver.New(cniserver.Config{
		Socket: n.socket, Pods: pods, Plumber: plumber, Registerer: prometheus.NewRegistry(), Clock: wallClock{}, Log: testr.New(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, server.Run)
	ctx := soon(t)
	for {
		if _, e := n.call(t, "1.1.0", "STATUS", nil, nil); e == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("the server does not become ready")
		}
	}
}

// ovnController marks every interface that has an iface-id as installed.
func (n *node) ovnController(ctx context.Context, changes <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		}
		ports, err := n.driver.Ports()
		if err != nil {
			continue // not connected yet
		}
		for _, p := range ports {
			if p.ExternalIDs[ovs.KeyIfaceID] == "" || p.ExternalIDs[ovs.KeyOVNInstalled] == "true" {
				continue
			}
			ids := ovsdb.OvsMap{GoMap: map[any]any{ovs.KeyOVNInstalled: "true", ovs.KeyOVNInstalledTS: "1"}}
			err := nbtest.Commit(ctx, n.other, ovsdb.Operation{
				Op: "mutate", Table: "Interface", Where: []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, p.Name)},
				Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, ids)},
			})
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("mark %s installed: %w", p.Name, err)
			}
		}
	}
}

func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	t.Cleanup(cancel)
	return ctx
}

func commit(t *testing.T, db *client.DB, ops ...ovsdb.Operation) {
	t.Helper()
	if err := nbtest.Commit(soon(t), db, ops...); err != nil {
		t.Fatal(err)
	}
}

// call runs the plugin as a runtime does. It returns what it printed, or its error.
func (n *node) call(t *testing.T, version, command string, pod *plumbtest.Pod, extra map[string]any) ([]byte, *types.Error) {
	t.Helper()
	conf := map[string]any{"cniVersion": version, "name": "woven", "type": "woven-cni", "server_socket": n.socket}
	for k, v := range extra {
		conf[k] = v
	}
	stdin, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	return n.callRaw(t, stdin, command, pod)
}

func (n *node) callRaw(t *testing.T, stdin []byte, command string, pod *plumbtest.Pod) ([]byte, *types.Error) {
	t.Helper()
	cmd := exec.CommandContext(soon(t), n.plugin)
	cmd.Env = []string{
		"CNI_COMMAND=" + command, "CNI_PATH=" + filepath.Dir(n.plugin), "CNI_CONTAINERID=" + containerID, "CNI_IFNAME=eth0",
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=" + containerID + ";K8S_POD_UID=u1",
	}
	if pod != nil {
		cmd.Env = append(cmd.Env, "CNI_NETNS="+pod.Path)
	}
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	var e types.Error
	if err := json.Unmarshal(out, &e); err != nil {
		t.Fatalf("%s: the plugin printed %q and %q", command, out, stderr.String())
	}
	return nil, &e
}

type wallClock struct{}

func (wallClock) Now() time.Time                  { return time.Now() }
func (wallClock) Since(t time.Time) time.Duration { return time.Since(t) }

type pods func(ctx context.Context, ref podnet.Ref) (podnet.Network, error)

func (p pods) Wait(ctx context.Context, ref podnet.Ref) (podnet.Network, error) { return p(ctx, ref) }

// known is the pod shop/web-0 with UID u1, as the controller annotates it.
func known(_ context.Context, ref podnet.Ref) (podnet.Network, error) {
	if ref.Namespace != "shop" || ref.Name != "web-0" || ref.UID != "u1" || ref.IfName != "eth0" {
		return podnet.Network{}, fmt.Errorf("asked for %+v", ref)
	}
	return podnet.Parse(ref, "u1", map[string]string{
		"ovn.kubernetes.io/ip_address":     "10.16.0.5,fd00::5",
		"ovn.kubernetes.io/cidr":           "10.16.0.0/16,fd00::/112",
		"ovn.kubernetes.io/gateway":        "10.16.0.1,fd00::1",
		"ovn.kubernetes.io/mac_address":    "0a:00:00:00:00:05",
		"ovn.kubernetes.io/logical_switch": "ovn-default",
		"ovn.kubernetes.io/routes":         `[{"dst":"192.168.0.0/16","gw":"10.16.0.254"}]`,
	})
}

func TestPluginServerDatabaseAndKernel(t *testing.T) {
	n := newNode(t)
	n.serve(t, pods(known))
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			pod := plumbtest.NewPod(t, "pod-"+version)
			out, e := n.call(t, version, "ADD", pod, nil)
			if e != nil {
				t.Fatalf("ADD: %v", e)
			}
			assertResult(t, version, out, pod)
			n.assertPlumbed(t, pod)

			var prev any
			if err := json.Unmarshal(out, &prev); err != nil {
				t.Fatal(err)
			}
			if version != "0.3.1" {
				if _, e := n.call(t, version, "CHECK", pod, map[string]any{"prevResult": prev}); e != nil {
					t.Fatalf("CHECK: %v", e)
				}
				n.breakIt(t, pod)
				if _, e := n.call(t, version, "CHECK", pod, map[string]any{"prevResult": prev}); e == nil || !strings.Contains(e.Msg, "route 0.0.0.0/0 via 10.16.0.1 is missing") {
					t.Fatalf("CHECK of a broken pod: %v", e)
				}
			}
			pod.Delete(t) // the runtime may take the namespace away first
			for range 2 {
				if _, e := n.call(t, version, "DEL", pod, nil); e != nil {
					t.Fatalf("DEL: %v", e)
				}
			}
			n.assertNothing(t)
		})
	}
}

func TestGarbageCollection(t *testing.T) {
	n := newNode(t)
	n.serve(t, pods(known))
	pod := plumbtest.NewPod(t, "gc")
	if _, e := n.call(t, "1.1.0", "ADD", pod, nil); e != nil {
		t.Fatal(e)
	}
	valid := []map[string]string{{"containerID": containerID, "ifname": "eth0"}}
	if _, e := n.call(t, "1.1.0", "GC", nil, map[string]any{"cni.dev/valid-attachments": valid}); e != nil {
		t.Fatal(e)
	}
	n.assertPlumbed(t, pod)
	if _, e := n.call(t, "1.1.0", "GC", nil, map[string]any{"cni.dev/valid-attachments": []any{}}); e != nil {
		t.Fatal(e)
	}
	n.assertNothing(t)
}

func TestErrorsOfThePlugin(t *testing.T) {
	n := newNode(t)
	pod := plumbtest.NewPod(t, "errors")
	if _, e := n.call(t, "1.1.0", "ADD", pod, nil); e == nil || e.Code != types.ErrTryAgainLater || !strings.Contains(e.Msg, "cannot connect to the cniserver of this node on "+n.socket) {
		t.Errorf("no server, ADD: %+v", e)
	}
	if _, e := n.call(t, "1.1.0", "STATUS", nil, nil); e == nil || e.Code != types.ErrPluginNotAvailable {
		t.Errorf("no server, STATUS: %+v", e)
	}
	ready := errors.New("no")
	n.serve(t, pods(func(context.Context, podnet.Ref) (podnet.Network, error) {
		return podnet.Network{}, fmt.Errorf("pod shop/web-0: no address yet: %w", errors.Join(ready, context.DeadlineExceeded))
	}))
	for name, tc := range map[string]struct {
		stdin, command, want string
		code                 uint
	}{
		"not JSON":       {"{{", "ADD", "the network configuration on stdin is not valid: ", types.ErrInvalidNetworkConfig},
		"empty":          {"", "DEL", "the network configuration on stdin is not valid: ", types.ErrInvalidNetworkConfig},
		"wrong type":     {`{"cniVersion":"1.0.0","name":"a","type":"woven-cni","server_socket":5}`, "ADD", "server_socket", types.ErrInvalidNetworkConfig},
		"version":        {`{"cniVersion":"9.0.0","name":"a","type":"woven-cni"}`, "ADD", "incompatible CNI versions", types.ErrIncompatibleCNIVersion},
		"bad provider":   {`{"cniVersion":"1.0.0","name":"a","type":"woven-cni","provider":"A B","server_socket":"` + n.socket + `"}`, "ADD", `provider: "A B" is not a DNS-1123`, types.ErrInvalidNetworkConfig},
		"sr-iov":         {`{"cniVersion":"1.0.0","name":"a","type":"woven-cni","deviceID":"x","server_socket":"` + n.socket + `"}`, "ADD", "deviceID: is \"x\"", types.ErrInvalidNetworkConfig},
		"ipam":           {`{"cniVersion":"1.0.0","name":"a","type":"woven-cni","ipam":{"type":"host-local"}}`, "ADD", "ipam.type: is \"host-local\"", types.ErrInvalidNetworkConfig},
		"no prevResult":  {`{"cniVersion":"1.0.0","name":"a","type":"woven-cni","server_socket":"` + n.socket + `"}`, "CHECK", "prevResult: is missing", types.ErrInvalidNetworkConfig},
		"bad prevResult": {`{"cniVersion":"1.0.0","name":"a","type":"woven-cni","prevResult":{"ips":5},"server_socket":"` + n.socket + `"}`, "CHECK", "prevResult: ", types.ErrInvalidNetworkConfig},
		"no address":     {`{"cniVersion":"1.0.0","name":"a","type":"woven-cni","server_socket":"` + n.socket + `"}`, "ADD", "pod shop/web-0: no address yet", types.ErrTryAgainLater},
	} {
		t.Run(name, func(t *testing.T) {
			if _, e := n.callRaw(t, []byte(tc.stdin), tc.command, pod); e == nil || e.Code != tc.code || !strings.Contains(e.Msg, tc.want) {
				t.Errorf("got %+v, want code %d and %q", e, tc.code, tc.want)
			}
		})
	}
	n.assertNothing(t)
}

func assertResult(t *testing.T, version string, out []byte, pod *plumbtest.Pod) {
	t.Helper()
	parsed, err := create.Create(version, out)
	if err != nil {
		t.Fatalf("result %s: %v", out, err)
	}
	result, err := current.NewResultFromResult(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Interfaces) != 2 || result.Interfaces[0].Name != hostIf || result.Interfaces[1].Name != "eth0" ||
		result.Interfaces[1].Sandbox != pod.Path || result.Interfaces[1].Mac != "0a:00:00:00:00:05" {
		t.Errorf("interfaces in %s", out)
	}
	var ips []string
	for _, ip := range result.IPs {
		if ip.Interface == nil || *ip.Interface != 1 {
			t.Errorf("address %v is not on the pod's interface", ip)
		}
		ips = append(ips, ip.Address.String()+" via "+ip.Gateway.String())
	}
	if got, want := strings.Join(ips, ", "), "10.16.0.5/16 via 10.16.0.1, fd00::5/112 via fd00::1"; got != want {
		t.Errorf("addresses are %s, want %s", got, want)
	}
	if len(result.Routes) != 3 {
		t.Errorf("routes in %s", out)
	}
}

func (n *node) assertPlumbed(t *testing.T, pod *plumbtest.Pod) {
	t.Helper()
	eth0, err := pod.Handle.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if eth0.Attrs().MTU != 1400 || eth0.Attrs().OperState != netlink.OperUp {
		t.Errorf("eth0 is %+v", eth0.Attrs())
	}
	ports, err := n.driver.Ports()
	if err != nil || len(ports) != 1 || ports[0].Name != hostIf || ports[0].ExternalIDs[ovs.KeyIfaceID] != "web-0.shop" ||
		ports[0].ExternalIDs[ovs.KeyIfaceIDVer] != "u1" || ports[0].ExternalIDs["pod_netns"] != pod.Path {
		t.Errorf("OVS ports are %+v, %v", ports, err)
	}
}

// breakIt takes the pod's IPv4 default route away.
func (n *node) breakIt(t *testing.T, pod *plumbtest.Pod) {
	t.Helper()
	eth0, err := pod.Handle.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	any4 := netip.MustParsePrefix("0.0.0.0/0")
	route := &netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: &net.IPNet{IP: any4.Addr().AsSlice(), Mask: net.CIDRMask(0, 32)}}
	if err := pod.Handle.RouteDel(route); err != nil {
		t.Fatal(err)
	}
}

func (n *node) assertNothing(t *testing.T) {
	t.Helper()
	if ports, err := n.driver.Ports(); err != nil || len(ports) != 0 {
		t.Errorf("left in OVS: %+v, %v", ports, err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Type() == "veth" {
			t.Errorf("left on the node: %s", l.Attrs().Name)
		}
	}
}
