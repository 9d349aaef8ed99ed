// A Beats client for the tests: sends the JSON lines of its standard input as one event each, by go-lumber.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/elastic/go-lumber/client/v2"
)

var (
	address     = flag.String("address", "", "host:port of the server")
	window      = flag.Int("window", 100, "events a window")
	inflight    = flag.Int("inflight", 0, "windows sent ahead of their acknowledgement; 0 waits for each")
	compression = flag.Int("compression", 0, "zlib's level; 0 is plain")
	timeout     = flag.Duration("timeout", 30*time.Second, "for each read and write")
	authority   = flag.String("ca", "", "PEM file of the authority; TLS where it is given")
	certificate = flag.String("cert", "", "PEM file of the client's certificate")
	key         = flag.String("key", "", "PEM file of the client's key")
)

func main() {
	flag.Parse()
	acknowledged, err := run()
	// Printed in either case: a test counts what was acknowledged before the error.
	fmt.Println(acknowledged)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() (int, error) {
	windows, err := read()
	if err != nil {
		return 0, err
	}
	dial, err := dialer()
	if err != nil {
		return 0, err
	}
	options := []v2.Option{v2.CompressionLevel(*compression), v2.Timeout(*timeout)}
	if *inflight > 0 {
		return pipelined(dial, options, windows)
	}
	client, err := v2.SyncDialWith(dial, *address, options...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	total := 0
	for _, events := range windows {
		count, err := client.Send(events)
		total += count
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

type outcome struct {
	count uint32
	err   error
}

func pipelined(dial dialFunc, options []v2.Option, windows [][]interface{}) (int, error) {
	client, err := v2.AsyncDialWith(dial, *address, *inflight, options...)
	if err != nil {
		return 0, err
	}
	outcomes := make(chan outcome, len(windows))
	for _, events := range windows {
		if err := client.Send(func(count uint32, err error) { outcomes <- outcome{count, err} }, events); err != nil {
			return 0, err
		}
	}
	total := 0
	for range windows {
		one := <-outcomes
		total += int(one.count)
		if one.err != nil {
			return total, one.err
		}
	}
	return total, client.Close()
}

type dialFunc = func(network, address string) (net.Conn, error)

func dialer() (dialFunc, error) {
	plain := &net.Dialer{Timeout: *timeout}
	if *authority == "" {
		return plain.Dial, nil
	}
	pem, err := os.ReadFile(*authority)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AppendCertsFromPEM(pem)
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return (&tls.Dialer{NetDialer: plain, Config: config}).Dial, nil
}

func read() ([][]interface{}, error) {
	var windows [][]interface{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16*1024*1024)
	for lines.Scan() {
		if len(windows) == 0 || len(windows[len(windows)-1]) == *window {
			windows = append(windows, nil)
		}
		last := &windows[len(windows)-1]
		*last = append(*last, json.RawMessage(append([]byte(nil), lines.Bytes()...)))
	}
	return windows, lines.Err()
}
