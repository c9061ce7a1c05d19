// SPDX-License-Identifier: Apache-2.0

package shim_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/cniserver/api"
	"github.com/wovensdn/woven/pkg/cniserver/shim"
)

func TestRequest(t *testing.T) {
	conf, req, err := shim.Request(&skel.CmdArgs{
		ContainerID: "abc", Netns: "/run/netns/x", IfName: "net1",
		Args: "IgnoreUnknown=true;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u1;OTHER=x",
		StdinData: []byte(`{"cniVersion":"1.0.0","name":"n","type":"kube-ovn","provider":"net1.ns1.ovn","routes":[{"dst":"10.0.0.0/8","gw":"10.1.0.1"}],
			"dns":{"nameservers":["10.96.0.10"]},"deviceID":"0000:01:00.1"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := api.Request{
		CNIType: "kube-ovn", PodName: "web-0", PodNamespace: "shop", PodUID: "u1", ContainerID: "abc", NetNS: "/run/netns/x", IfName: "net1",
		Provider: "net1.ns1.ovn", Routes: []api.Route{{Destination: "10.0.0.0/8", Gateway: "10.1.0.1"}},
		DNS: api.DNS{Nameservers: []string{"10.96.0.10"}}, DeviceID: "0000:01:00.1",
	}
	if d := cmp.Diff(want, req); d != "" || conf.ServerSocket != api.DefaultSocket {
		t.Fatal(conf.ServerSocket, d)
	}
}

func TestRequestWithBadArgs(t *testing.T) {
	_, _, err := shim.Request(&skel.CmdArgs{Args: "K8S_POD_NAME", StdinData: []byte(`{"name":"n"}`)})
	var e *types.Error
	if !errors.As(err, &e) || e.Code != types.ErrInvalidEnvironmentVariables || !strings.HasPrefix(e.Msg, "CNI_ARGS: ") {
		t.Fatalf("got %v", err)
	}
}

func TestResultRefusesInvalidResponse(t *testing.T) {
	for want, resp := range map[string]api.AddResponse{
		`ips: invalid address "x"`:        {IPs: []api.IP{{IP: "x", CIDR: "10.0.0.0/8"}}},
		`prefix "10.0.0.0"`:               {IPs: []api.IP{{IP: "10.0.0.1", CIDR: "10.0.0.0"}}},
		`routes: invalid destination "y"`: {Routes: []api.Route{{Destination: "y"}}},
	} {
		if _, err := shim.Result(&skel.CmdArgs{}, resp); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// FuzzRequest checks that no stdin or CNI_ARGS panics the plugin, and that every error has a CNI code.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"name":"n","type":"woven-cni","routes":[{"dst":"::/0"}]}`), "K8S_POD_NAME=a;K8S_POD_NAMESPACE=b")
	f.Add([]byte(`{"ipam":{"type":"x"},"prevResult":[],"dns":null}`), "=;=")
	f.Add([]byte("{{"), ";")
	f.Fuzz(func(t *testing.T, stdin []byte, args string) {
		conf, _, err := shim.Request(&skel.CmdArgs{Args: args, StdinData: stdin})
		var e *types.Error
		if err != nil && (!errors.As(err, &e) || e.Code == 0) {
			t.Fatalf("error without code: %v", err)
		}
		if err == nil && conf.ServerSocket == "" {
			t.Fatal("the configuration has no socket")
		}
	})
}
