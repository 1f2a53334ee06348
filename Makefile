# Everything that is done with Fengsui on a machine. `make` alone lists it.
# FENGSUI_RUNS sets how many seeded runs a simulation plays; `make soak` sets the full counts.

CARGO ?= cargo
LOCKED ?= --locked
DIST := console/dist/index.html
CONSOLE := $(shell find console/src console/public console/index.html console/package.json console/vite.config.ts -type f 2>/dev/null)

.PHONY: help demo test check fuzz soak web bench dist dist-setup dist-test setup browser clean

help:
	@echo "make demo    模拟现场、网关、中心一起运行，打开所示网址"
	@echo "make test    安装测试所需软件包，跑完全部测试（缩减次数）"
	@echo "make check   test 之外再查格式与 clippy"
	@echo "make fuzz    用损坏的输入测试每个解析器，各一分钟"
	@echo "make soak    全部仿真按完整次数跑（数小时）"
	@echo "make web     编译控制台页面（需要 Node 20.19 以上）"
	@echo "make bench   测量并写出 target/bench/summary.json"
	@echo "make dist    发布用二进制与 .deb（amd64、arm64、armhf；先以 root 执行 make dist-setup）"
	@echo "make dist-test  在 qemu 下运行两个 ARM 包"

# Without Node the demo works all the same; its page is then /basic.
demo:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web; \
	 else echo "未找到 Node：页面为简版 /basic  (no Node: the page is /basic)"; fi
	$(CARGO) run $(LOCKED) -p fengsui --bin fengsui -- demo

web: $(DIST)

$(DIST): $(CONSOLE) console/package-lock.json
	@node -e 'const [a,b]=process.versions.node.split(".").map(Number); if (a<20||(a===20&&b<19)) { console.error("需要 Node 20.19 或更新版本，现为 "+process.version); process.exit(1) }'
	cd console && npm ci --ignore-scripts --no-audit --no-fund && npm run build
	@touch $(DIST)

setup:
	tests/setup.sh

# Everything is built once, with the features that the tests want: the experiments run these binaries.
test: setup web
	cd console && npm run check && npm test && npm run size
	$(CARGO) build $(LOCKED) --workspace --all-targets
	$(CARGO) test $(LOCKED) --workspace
	tests/peers/selftest.sh
	tests/peers/modbus/run.sh
	tests/browser/run.sh

# The page in a real browser, against a running demo.
browser: web
	$(CARGO) build $(LOCKED) --workspace --all-targets
	tests/browser/run.sh

check: test fuzz
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings

# A minute for each parser.
fuzz:
	$(CARGO) run $(LOCKED) --release -p fengsui-fuzz -- --seconds 60

soak: setup web
	$(CARGO) build $(LOCKED) --release --workspace --all-targets
	FENGSUI_RUNS=100000 FENGSUI_FULL=1 $(CARGO) test $(LOCKED) --release --workspace

bench:
	$(CARGO) build $(LOCKED) --release --workspace --bins
	$(LEAN) $(CARGO) rustc $(LOCKED) --profile dist -p fengsui-gateway --bin fengsui-gateway -- $(PACKED)
	$(CARGO) run $(LOCKED) --release -p fengsui-bench -- --gateway $(NATIVE)/fengsui-gateway

# Cross compilers and qemu, from Debian. Root.
dist-setup:
	configs/deploy/cross.sh setup

NATIVE := $(or $(CARGO_TARGET_DIR),target)/dist

# The gateway's board has little memory, and the pages of its program count: SQLite without what
# nobody asks it for, and addresses to be filled in at a start packed (needs glibc 2.36).
LEAN := LIBSQLITE3_FLAGS="$(shell configs/deploy/cross.sh sqlite)"
PACKED := -C link-arg=-Wl,-z,pack-relative-relocs -C strip=symbols

dist: web
	RUSTFLAGS="$$(configs/deploy/cross.sh remap)" $(LEAN) CARGO_PROFILE_DIST_LTO=thin \
	  $(CARGO) build $(LOCKED) --profile dist -p fengsui -p fengsui-plant --bins
	RUSTFLAGS="$$(configs/deploy/cross.sh remap)" $(LEAN) $(CARGO) rustc $(LOCKED) --profile dist \
	  -p fengsui-gateway --bin fengsui-gateway -- $(PACKED)
	configs/deploy/cross.sh build
	configs/deploy/deb.sh amd64 $(NATIVE)/fengsui-gateway target/packages
	configs/deploy/deb.sh arm64 target/cross/out/arm64/fengsui-gateway target/packages
	configs/deploy/deb.sh armhf target/cross/out/armhf/fengsui-gateway target/packages

# After `make dist`. Not part of `make test`: the builds before it take too long.
dist-test: setup
	$(CARGO) build $(LOCKED) -p fengsui-plant -p fengsui
	tests/dist/run.sh

clean:
	$(CARGO) clean
	rm -rf console/dist/* console/node_modules tests/browser/node_modules .venv
