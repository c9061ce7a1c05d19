// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/cniserver/api"
)

func valid() api.Request {
	return api.Request{
		CNIType: "kube-ovn", PodName: "web-0", PodNamespace: "shop", ContainerID: "0123456789abcdef", NetNS: "/var/run/netns/cni-1",
		IfName: "eth0", Provider: "ovn", Routes: []api.Route{{Destination: "10.0.0.0/8", Gateway: "10.16.0.1"}},
	}
}

func TestValidateReportsFieldAndCause(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*api.Request)
		op     api.Op
		want   string // "" is valid
	}{
		"valid":                    {func(*api.Request) {}, api.OpAdd, ""},
		"empty provider":           {func(r *api.Request) { r.Provider = "" }, api.OpAdd, ""},
		"del without netns":        {func(r *api.Request) { r.NetNS = "" }, api.OpDel, ""},
		"del without pod":          {func(r *api.Request) { r.PodName, r.PodNamespace = "", "" }, api.OpDel, ""},
		"no container":             {func(r *api.Request) { r.ContainerID = "" }, api.OpDel, "container_id: is empty"},
		"container with slash":     {func(r *api.Request) { r.ContainerID = "../x" }, api.OpAdd, "container_id: "},
		"long container":           {func(r *api.Request) { r.ContainerID = strings.Repeat("a", 254) }, api.OpAdd, "container_id: is longer than 253"},
		"no netns":                 {func(r *api.Request) { r.NetNS = "" }, api.OpAdd, "net_ns: is empty"},
		"relative netns":           {func(r *api.Request) { r.NetNS = "netns/x" }, api.OpAdd, "net_ns: \"netns/x\" is not an absolute path"},
		"netns with dots":          {func(r *api.Request) { r.NetNS = "/run/../etc/passwd" }, api.OpAdd, "net_ns: "},
		"netns elsewhere":          {func(r *api.Request) { r.NetNS = "/etc/passwd" }, api.OpDel, "net_ns: \"/etc/passwd\" is not below"},
		"netns is parent":          {func(r *api.Request) { r.NetNS = "/run" }, api.OpAdd, "net_ns: \"/run\" is not below"},
		"proc netns":               {func(r *api.Request) { r.NetNS = "/proc/12/ns/net" }, api.OpCheck, ""},
		"if too long":              {func(r *api.Request) { r.IfName = "abcdefghijklmnop" }, api.OpAdd, "if_name: \"abcdefghijklmnop\" is longer than 15"},
		"if with slash":            {func(r *api.Request) { r.IfName = "a/b" }, api.OpAdd, "if_name: \"a/b\" contains '/'"},
		"if dots":                  {func(r *api.Request) { r.IfName = ".." }, api.OpAdd, "if_name: "},
		"if control":               {func(r *api.Request) { r.IfName = "a\nb" }, api.OpAdd, "if_name: "},
		"pod name upper":           {func(r *api.Request) { r.PodName = "Web" }, api.OpAdd, "pod_name: \"Web\" is not a DNS-1123"},
		"no pod":                   {func(r *api.Request) { r.PodName = "" }, api.OpAdd, "pod_name: "},
		"namespace with dot":       {func(r *api.Request) { r.PodNamespace = "a.b" }, api.OpAdd, "pod_namespace: "},
		"provider upper":           {func(r *api.Request) { r.Provider = "OVN" }, api.OpAdd, "provider: "},
		"route not a cidr":         {func(r *api.Request) { r.Routes[0].Destination = "10.0.0.1" }, api.OpAdd, "routes[0].dst: \"10.0.0.1\" is not a CIDR"},
		"default route":            {func(r *api.Request) { r.Routes[0].Destination = "" }, api.OpAdd, ""},
		"route without all":        {func(r *api.Request) { r.Routes[0] = api.Route{} }, api.OpAdd, "routes[0].dst: \"\" is not a CIDR"},
		"gateway of other family":  {func(r *api.Request) { r.Routes[0].Gateway = "fd00::1" }, api.OpAdd, "routes[0].gw: "},
		"gateway with a zone":      {func(r *api.Request) { r.Routes[0] = api.Route{Destination: "::/0", Gateway: "fe80::1%eth0"} }, api.OpAdd, "routes[0].gw: "},
		"sr-iov":                   {func(r *api.Request) { r.DeviceID = "0000:01:00.1" }, api.OpAdd, "deviceID: is \"0000:01:00.1\""},
		"uid":                      {func(r *api.Request) { r.PodUID = "a b" }, api.OpAdd, "pod_uid: "},
		"prev address not address": {func(r *api.Request) { r.IPs = []api.IP{{IP: "10.1"}} }, api.OpCheck, "ips[0].ip: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := valid()
			tc.change(&r)
			err := r.Validate(tc.op)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("unexpected: %v", err)
				}
				return
			}
			var field *api.FieldError
			if !errors.As(err, &field) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want a FieldError with %q", err, tc.want)
			}
		})
	}
}

func TestDecodeReportsFieldAndCause(t *testing.T) {
	for body, want := range map[string]string{
		"":                                "body: is empty",
		"[]":                              "body: ",
		"hello":                           "body: is not the JSON of a request",
		`{"pod_name": 5}`:                 "pod_name: is a JSON number",
		strings.Repeat(" ", 1+(1<<20)):    "body: longer than 1048576 bytes",
		`{"container_id":"a","if_name":`:  "body: is not the JSON of a request",
		`{"container_id":"a"}`:            "if_name: is empty",
		`{"container_id":"a","ips":[{}]}`: "if_name: is empty",
	} {
		if _, err := api.DecodeRequest(strings.NewReader(body), api.OpAdd); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("body %.40q: got %v, want %q", body, err, want)
		}
	}
}

func TestGCReportsElement(t *testing.T) {
	_, err := api.DecodeGC(strings.NewReader(`{"valid_attachments":[{"container_id":"a","if_name":"eth0"},{"container_id":"b","if_name":"a/b"}]}`))
	if err == nil || !strings.Contains(err.Error(), "valid_attachments[1]: if_name: ") {
		t.Fatalf("got %v", err)
	}
}

// FuzzDecodeRequest checks that decoding ends, and that an accepted request is valid after a round trip.
func FuzzDecodeRequest(f *testing.F) {
	seed, _ := json.Marshal(valid())
	f.Add(seed)
	f.Add([]byte(`{"container_id":"a","if_name":"eth0","net_ns":"/run/netns/../x"}`))
	f.Add([]byte(`{"routes":[{"dst":"::/0","gw":"10.0.0.1"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range []api.Op{api.OpAdd, api.OpDel, api.OpCheck} {
			req, err := api.DecodeRequest(strings.NewReader(string(body)), op)
			if err != nil {
				continue
			}
			if strings.Contains(req.NetNS, "..") && strings.Contains(req.NetNS, "/../") {
				t.Fatalf("accepted net_ns %q", req.NetNS)
			}
			if strings.ContainsAny(req.IfName, "/\x00 \n") || strings.ContainsAny(req.ContainerID, "/\x00 \n") {
				t.Fatalf("accepted %q, %q", req.IfName, req.ContainerID)
			}
			again, err := json.Marshal(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := api.DecodeRequest(strings.NewReader(string(again)), op); err != nil {
				t.Fatalf("round trip: %v", err)
			}
		}
	})
}

// FuzzDecodeGC checks that decoding ends, and that accepted attachments are names, not paths.
func FuzzDecodeGC(f *testing.F) {
	f.Add([]byte(`{"valid_attachments":[{"container_id":"a","if_name":"eth0"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := api.DecodeGC(strings.NewReader(string(body)))
		if err != nil {
			return
		}
		for _, a := range req.ValidAttachments {
			if strings.ContainsAny(a.ContainerID+a.IfName, "/\x00 \n") {
				t.Fatalf("accepted %q", a)
			}
		}
	})
}
